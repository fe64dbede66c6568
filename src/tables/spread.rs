//! Counts the cells of a sheet before they are allocated.
//!
//! The reader of `.ods` and `.xls` allocates the full rectangle of a sheet, and a file of a few kilobytes can have one
//! cell in each corner. Sheets of `.xlsx` are read cell by cell and do not need this.

use std::io::{BufReader, Cursor, Read};

use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;

use super::error::{Limits, TableError, broken, too_many};

/// A rectangle of up to this many cells is always accepted.
const ALWAYS: u64 = 1 << 20;
/// A larger rectangle may have this many cells per filled cell.
const SPARSE: u64 = 64;
/// Largest numbers of columns and rows in a sheet.
const MOST_COLUMNS: u64 = 1 << 14;
const MOST_ROWS: u64 = 1 << 20;

/// The filled part of a sheet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spread {
    /// First and last filled row, counted from 0.
    rows: Option<(u64, u64)>,
    /// Number of columns up to the last filled one.
    width: u64,
    filled: u64,
}

impl Spread {
    fn fill(&mut self, first_row: u64, last_row: u64, width: u64, filled: u64) {
        let first = self.rows.map_or(first_row, |(first, _)| first.min(first_row));
        let last = self.rows.map_or(last_row, |(_, last)| last.max(last_row));
        self.rows = Some((first, last));
        self.width = self.width.max(width);
        self.filled += filled;
    }

    /// Subtracts the cells of the rectangle from the rest of the limit.
    fn take(self, left: &mut u64, limits: Limits) -> Result<(), TableError> {
        let rows = self.rows.map_or(0, |(first, last)| last - first + 1);
        let cells = rows.saturating_mul(self.width);
        let sparse = cells > ALWAYS.saturating_add(SPARSE.saturating_mul(self.filled));
        *left = left.checked_sub(cells).filter(|_| !sparse).ok_or_else(|| too_many(limits))?;
        Ok(())
    }
}

/// Counts the cells of all sheets of an `OpenDocument` file. In this format cells and rows have repeat counts.
///
/// # Errors
/// More cells than the limit, or an invalid file.
pub(super) fn check_ods(bytes: &[u8], limits: Limits) -> Result<(), TableError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let mut reader = quick_xml::Reader::from_reader(BufReader::new(archive.by_name("content.xml").map_err(broken)?));
    reader.config_mut().expand_empty_elements = true;
    // calamine waits forever for the end of a sheet, so every open element must be closed.
    let mut open = 0_usize;
    let (mut left, mut made) = (limits.cells, limits.cells);
    let (mut sheet, mut row, mut top) = (Spread::default(), Row::default(), 0);
    let mut bytes = Vec::new();
    loop {
        match reader.read_event_into(&mut bytes).map_err(broken)? {
            Event::Eof if open > 0 => return Err(broken("it ends within a sheet")),
            Event::Eof => break,
            Event::Start(start) => {
                open += 1;
                match start.name().as_ref() {
                    "table:table" => (sheet, top) = (Spread::default(), 0),
                    "table:table-row" => {
                        row = Row { repeated: repeated(&start, "table:number-rows-repeated")?, ..Row::default() }
                    }
                    "table:table-cell" | "table:covered-table-cell" => row.cell(&start)?,
                    _ => {}
                }
            }
            Event::End(end) => {
                open = open.saturating_sub(1);
                match end.name().as_ref() {
                    "table:table-row" => {
                        let repeated = row.repeated.min(MOST_ROWS.saturating_sub(top));
                        made = made.checked_sub(row.columns.min(MOST_COLUMNS)).ok_or_else(|| too_many(limits))?;
                        if row.width > 0 && repeated > 0 {
                            sheet.fill(top, top + repeated - 1, row.width, row.filled);
                        }
                        top += repeated;
                    }
                    "table:table" => std::mem::take(&mut sheet).take(&mut left, limits)?,
                    _ => {}
                }
            }
            _ => {}
        }
        bytes.clear();
    }
    Ok(())
}

/// The current row of an `OpenDocument` sheet.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    repeated: u64,
    columns: u64,
    /// Number of columns up to the last filled one.
    width: u64,
    filled: u64,
}

impl Row {
    fn cell(&mut self, start: &BytesStart) -> Result<(), TableError> {
        self.columns = self.columns.saturating_add(repeated(start, "table:number-columns-repeated")?);
        let says = ["office:value-type", "calcext:value-type", "table:formula"];
        let mut keys = start.attributes();
        if keys.with_checks(false).flatten().any(|attribute| says.contains(&attribute.key.as_ref())) {
            self.width = self.columns.min(MOST_COLUMNS);
            self.filled += 1;
        }
        Ok(())
    }
}

fn repeated(start: &BytesStart, key: &str) -> Result<u64, TableError> {
    match start.try_get_attribute(key).map_err(broken)? {
        None => Ok(1),
        Some(attribute) => attribute.value.trim().parse().map_err(broken),
    }
}

/// Counts the cells of an old Excel file.
///
/// # Errors
/// More cells than the limit, or no sheets.
pub(super) fn check_xls(bytes: &[u8], limits: Limits) -> Result<(), TableError> {
    let mut file = cfb::CompoundFile::open(Cursor::new(bytes)).map_err(broken)?;
    let name =
        ["Workbook", "Book"].into_iter().find(|name| file.is_stream(name)).ok_or_else(|| broken("it has no sheets"))?;
    let mut stream = Vec::new();
    file.open_stream(name).map_err(broken)?.take(limits.unzipped_bytes).read_to_end(&mut stream).map_err(broken)?;
    let mut left = limits.cells;
    let sheets: Vec<(u16, &[u8])> = records(&stream).filter(|(kind, _)| *kind == BOUND_SHEET).collect();
    if sheets.len() > MOST_SHEETS {
        return Err(TableError::TooLarge(format!("the workbook has more than {MOST_SHEETS} sheets")));
    }
    for sheet in sheets {
        let from = sheet.1.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
        xls_spread(stream.get(from..).ok_or_else(|| broken("a sheet beyond its end"))?, limits)?
            .take(&mut left, limits)?;
    }
    Ok(())
}

/// Each sheet needs a pass through the file.
const MOST_SHEETS: usize = 256;

/// Record types of old Excel files that describe cells.
const BOUND_SHEET: u16 = 0x0085;
const DIMENSIONS: u16 = 0x0200;
const MANY_NUMBERS: u16 = 0x00bd;
const CELLS: [u16; 7] = [0x0006, 0x00d6, 0x00fd, 0x0203, 0x0204, 0x0205, 0x027e];

/// Records up to the first invalid one: type and content.
fn records(stream: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = stream;
    std::iter::from_fn(move || {
        let (head, after) = rest.split_first_chunk::<4>()?;
        let [kind, length] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_le_bytes);
        let (content, after) = after.split_at_checked(usize::from(length))?;
        rest = after;
        Some((kind, content))
    })
}

/// The filled part of the sheet at the beginning of a stream. Records after its end may be counted as well, which only
/// makes it larger.
fn xls_spread(stream: &[u8], limits: Limits) -> Result<Spread, TableError> {
    let mut sheet = Spread::default();
    let mut inside = 0_usize;
    for (kind, content) in records(stream) {
        let word = |at: usize| content.get(at..at + 2).map_or(0, |two| u64::from(u16::from_le_bytes([two[0], two[1]])));
        match kind {
            0x0809 => inside += 1,
            0x000a if inside <= 1 => break,
            0x000a => inside -= 1,
            DIMENSIONS => check_dimensions(content, limits)?,
            MANY_NUMBERS => {
                let numbers = (content.len() as u64).saturating_sub(6) / 6;
                sheet.fill(word(0), word(0), word(2) + numbers.max(1), numbers);
            }
            _ if CELLS.contains(&kind) => sheet.fill(word(0), word(0), word(2) + 1, 1),
            _ => {}
        }
    }
    Ok(sheet)
}

/// Checks the stated size of a sheet, because the reader allocates that many cells.
fn check_dimensions(content: &[u8], limits: Limits) -> Result<(), TableError> {
    let number = |at: usize, wide: bool| {
        let bytes = content.get(at..at + if wide { 4 } else { 2 }).unwrap_or_default();
        bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let wide = content.len() > 10;
    let (first, end, columns) = match wide {
        true => (number(0, true), number(4, true), number(10, false)),
        false => (number(0, false), number(2, false), number(6, false)),
    };
    // An end of row 0 means an empty sheet. Any other end before the beginning is invalid.
    let rows = if end == 0 || columns == 0 { Some(0) } else { end.checked_sub(first).filter(|rows| *rows > 0) };
    let rows = rows.ok_or_else(|| broken("a sheet that ends before it begins"))?;
    if rows.saturating_mul(columns) > limits.cells.max(MOST_ROWS * 16) { Err(too_many(limits)) } else { Ok(()) }
}
