//! Converts a sheet of a workbook (`.xlsx`, `.xls`, `.ods`) to text, which the rest of this folder can read.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{Data, ExcelDateTime, Ods, Reader, SheetType, SheetVisible, Xls, Xlsb, Xlsx};

use super::container::{Kind, kind_of};
use super::error::{Limits, TableError, broken, too_many};
use super::spread::{check_ods, check_xls};

/// Whether bytes are a workbook: a zip file or an old Excel file.
pub fn is_workbook(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
}

/// Converts a sheet to UTF-8 text, separated by commas. Each row of the sheet is one line, so line numbers are row
/// numbers. Also returns notes on what was chosen.
///
/// # Errors
/// The file is not a workbook, has a password or exceeds a limit, or the sheet does not exist.
pub fn workbook_to_text(
    bytes: &[u8],
    sheet: Option<&str>,
    limits: Limits,
) -> Result<(Vec<u8>, Vec<String>), TableError> {
    let kind = kind_of(bytes, limits)?;
    // The library can panic on an invalid file, because it uses sizes stated in the file as indices.
    let read = catch_unwind(AssertUnwindSafe(|| match kind {
        Kind::Xlsx => choose(Xlsx::new(Cursor::new(bytes)).map_err(broken)?, sheet, limits, xlsx_cells),
        Kind::Xlsb => choose(Xlsb::new(Cursor::new(bytes)).map_err(broken)?, sheet, limits, xlsb_cells),
        Kind::Ods => {
            check_ods(bytes, limits)?;
            choose(Ods::new(Cursor::new(bytes)).map_err(broken)?, sheet, limits, range_cells)
        }
        Kind::Xls => {
            check_xls(bytes, limits)?;
            choose(Xls::new(Cursor::new(bytes)).map_err(broken)?, sheet, limits, range_cells)
        }
    }));
    read.unwrap_or_else(|_| Err(broken("its parts contradict each other")))
}

/// The non-empty cells of a sheet, by row and column.
type Cells = Vec<((u32, u32), String)>;
/// A function that reads a sheet.
type ReadSheet<R> = fn(&mut R, &str, Limits) -> Result<Cells, TableError>;

/// The requested sheet, or else the first that is visible and not empty.
fn choose<'a, R: Reader<Cursor<&'a [u8]>>>(
    mut workbook: R,
    sheet: Option<&str>,
    limits: Limits,
    read: ReadSheet<R>,
) -> Result<(Vec<u8>, Vec<String>), TableError> {
    let sheets = workbook.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let sheets: Vec<(String, bool)> =
        sheets.map(|sheet| (sheet.name.clone(), sheet.visible == SheetVisible::Visible)).collect();
    let names = || sheets.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    if let Some(asked) = sheet {
        let named = sheets.iter().find(|(name, _)| name == asked);
        let named = named.or_else(|| sheets.iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(asked.trim())));
        let numbered = || asked.parse::<usize>().ok().and_then(|number| sheets.get(number.checked_sub(1)?));
        let Some((name, _)) = named.or_else(numbered) else {
            let detail = format!("the workbook has no sheet \"{asked}\": its sheets are {}", names());
            return Err(TableError::Unreadable(detail));
        };
        return Ok((text(read(&mut workbook, name, limits)?, limits)?, Vec::new()));
    }
    for (name, _) in sheets.iter().filter(|(_, visible)| *visible) {
        let cells = read(&mut workbook, name, limits)?;
        if cells.is_empty() {
            continue;
        }
        let others: Vec<String> =
            sheets.iter().filter(|(other, _)| other != name).map(|(other, _)| format!("\"{other}\"")).collect();
        let note =
            format!("sheet \"{name}\" was read, not {} (name another with --sheet or ?sheet=)", others.join(", "));
        return Ok((text(cells, limits)?, if others.is_empty() { Vec::new() } else { vec![note] }));
    }
    Err(TableError::Unreadable(format!("the workbook is empty: its sheets are {}", names())))
}

fn xlsx_cells(workbook: &mut Xlsx<Cursor<&[u8]>>, name: &str, limits: Limits) -> Result<Cells, TableError> {
    let mut reader = workbook.worksheet_cells_reader(name).map_err(broken)?;
    let mut cells = Vec::new();
    while let Some(cell) = reader.next_cell().map_err(broken)? {
        keep(&mut cells, cell.get_position(), Data::from(cell.get_value().clone()), limits)?;
    }
    Ok(cells)
}

fn xlsb_cells(workbook: &mut Xlsb<Cursor<&[u8]>>, name: &str, limits: Limits) -> Result<Cells, TableError> {
    let mut reader = workbook.worksheet_cells_reader(name).map_err(broken)?;
    let mut cells = Vec::new();
    while let Some(cell) = reader.next_cell().map_err(broken)? {
        keep(&mut cells, cell.get_position(), Data::from(cell.get_value().clone()), limits)?;
    }
    Ok(cells)
}

fn range_cells<'a, R: Reader<Cursor<&'a [u8]>>>(
    workbook: &mut R,
    name: &str,
    limits: Limits,
) -> Result<Cells, TableError> {
    let range = workbook.worksheet_range(name).map_err(broken)?;
    let (top, left) = range.start().unwrap_or_default();
    let mut cells = Vec::new();
    for (row, column, value) in range.used_cells() {
        keep(&mut cells, (top + row as u32, left + column as u32), value.clone(), limits)?;
    }
    Ok(cells)
}

fn keep(cells: &mut Cells, at: (u32, u32), value: Data, limits: Limits) -> Result<(), TableError> {
    let text = match value {
        Data::Empty => return Ok(()),
        // The shortest text that gives the same number.
        Data::Float(number) => number.to_string(),
        Data::DateTime(moment) => date(moment),
        Data::DateTimeIso(text) => text.strip_suffix("T00:00:00").unwrap_or(&text).to_owned(),
        Data::DurationIso(text) => text,
        Data::Int(number) => number.to_string(),
        Data::Bool(truth) => truth.to_string(),
        Data::Error(error) => error.to_string(),
        other => other.to_string().replace(['\r', '\n'], " ").trim().to_owned(),
    };
    if text.is_empty() {
        return Ok(());
    }
    cells.push((at, text));
    if cells.len() as u64 > limits.cells { Err(too_many(limits)) } else { Ok(()) }
}

/// A date in ISO 8601, or the hours of a duration.
fn date(moment: ExcelDateTime) -> String {
    if moment.is_duration() {
        return (moment.as_f64() * 24.0).to_string();
    }
    let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
    if moment.as_f64().fract() == 0.0 {
        format!("{year:04}-{month:02}-{day:02}")
    } else if moment.as_f64() < 1.0 {
        format!("{hour:02}:{minute:02}:{second:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

/// Writes cells as lines. Empty columns on the left are omitted.
fn text(mut cells: Cells, limits: Limits) -> Result<Vec<u8>, TableError> {
    cells.sort_by_key(|(at, _)| *at);
    let columns = || cells.iter().map(|((_, column), _)| *column);
    let (Some(left), Some(right)) = (columns().min(), columns().max()) else { return Ok(Vec::new()) };
    let width = u64::from(right - left) + 1;
    let rows = || cells.chunk_by(|(one, _), (other, _)| one.0 == other.0);
    let last = cells.last().map_or(0, |((row, _), _)| u64::from(*row));
    if width * rows().count() as u64 + last > limits.cells {
        return Err(too_many(limits));
    }
    let mut bytes = Vec::new();
    let mut line = 0;
    for row in rows() {
        let at = row.first().map_or(0, |((row, _), _)| *row);
        (line..at).for_each(|_| bytes.push(b'\n'));
        line = at + 1;
        let mut writer = csv::WriterBuilder::new().from_writer(&mut bytes);
        let mut filled = row.iter().peekable();
        let texts = (left..=right).map(|column| {
            let mut text = "";
            while let Some((_, found)) = filled.next_if(|((_, at), _)| *at == column) {
                text = found;
            }
            text
        });
        writer.write_record(texts).map_err(|error| TableError::Unreadable(error.to_string()))?;
        writer.flush().map_err(|error| TableError::Unreadable(error.to_string()))?;
    }
    Ok(bytes)
}
