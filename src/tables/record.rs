//! Splits chunks into rows with line numbers. Long tables are split on many threads, after the header is known.

use super::dialect::blank;
use super::encoding::mend;
use super::opening::Head;
use super::rows::line_breaks;

/// Complete rows of UTF-8 text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The rows, with their line breaks.
    pub bytes: Vec<u8>,
    /// Line number in the file where they begin, counted from 1 as in an editor.
    pub line: u64,
}

/// A row of a chunk.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its cells as trimmed text.
    pub cells: csv::StringRecord,
    /// Indices of cells that could not be decoded; their texts are guesses. Usually empty.
    pub undecodable: Vec<usize>,
    /// Byte position in the chunk. Blank lines may come before the row.
    pub place: usize,
}

impl Row {
    /// Whether all cells are empty.
    pub fn is_blank(&self) -> bool {
        self.cells.as_slice().trim().is_empty()
    }
}

impl Chunk {
    /// Line number in the file where the row begins.
    pub fn line_of(&self, row: &Row) -> u64 {
        let rows = self.bytes.get(row.place..).unwrap_or_default();
        let above = self.bytes.get(..row.place + blank(rows)).unwrap_or(&self.bytes);
        self.line + line_breaks(above)
    }
}

impl Head {
    /// The rows of a chunk, including blank ones.
    pub fn rows<'a>(&'a self, chunk: &'a Chunk) -> impl Iterator<Item = Row> + 'a {
        let mut builder = csv::ReaderBuilder::new();
        let separator = self.dialect.separator;
        let mut reader =
            builder.has_headers(false).flexible(true).delimiter(separator).from_reader(chunk.bytes.as_slice());
        let replaced = memchr::memmem::find(&chunk.bytes, REPLACED.as_bytes()).is_some();
        let mut record = csv::ByteRecord::new();
        std::iter::from_fn(move || {
            let place = reader.position().byte() as usize;
            // The bytes are in memory and rows may have any length, so reading cannot fail.
            let more = reader.read_byte_record(&mut record).unwrap_or(false);
            more.then(|| row(&record, place, replaced))
        })
    }
}

impl Head {
    /// The rows of a chunk with their line numbers in the file, including blank ones.
    pub fn numbered_rows<'a>(&'a self, chunk: &'a Chunk) -> impl Iterator<Item = (u64, Row)> + 'a {
        let (mut line, mut counted) = (chunk.line, 0);
        self.rows(chunk).map(move |row| {
            let start = row.place + blank(chunk.bytes.get(row.place..).unwrap_or_default());
            line += line_breaks(chunk.bytes.get(counted..start).unwrap_or_default());
            counted = start;
            (line, row)
        })
    }
}

/// The character that a decoder writes for invalid bytes.
const REPLACED: &str = "\u{fffd}";

fn row(record: &csv::ByteRecord, place: usize, replaced: bool) -> Row {
    let mut own = record.clone();
    if own.iter().any(has_margin) {
        own.trim();
    }
    let (mut cells, mut undecodable) = match csv::StringRecord::from_byte_record(own) {
        Ok(cells) => (cells, Vec::new()),
        Err(error) => mend(&error.into_byte_record()),
    };
    if !cells.as_slice().is_ascii() && cells.iter().any(|cell| cell.trim().len() < cell.len()) {
        cells = cells.iter().map(str::trim).collect();
    }
    if replaced {
        undecodable.extend((0..cells.len()).filter(|at| cells.get(*at).is_some_and(|cell| cell.contains(REPLACED))));
        undecodable.sort_unstable();
        undecodable.dedup();
    }
    Row { cells, undecodable, place }
}

/// Whether a cell begins or ends with a space.
fn has_margin(cell: &[u8]) -> bool {
    matches!(cell, [first, .., last] if first.is_ascii_whitespace() || last.is_ascii_whitespace())
        || matches!(cell, [only] if only.is_ascii_whitespace())
}
