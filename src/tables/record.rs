//! Rows of a chunk, and the lines on which they stand.
//!
//! Its own because it is done for every row of a long table, on many threads, when its head is long known.

use super::dialect::blank;
use super::encoding::mend;
use super::opening::Head;
use super::rows::line_breaks;

/// Some whole rows of UTF-8 text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The rows, with their ends.
    pub bytes: Vec<u8>,
    /// Line of the file on which they begin, counted from 1 as an editor does.
    pub line: u64,
}

/// One row of a chunk.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its cells, as text, trimmed.
    pub cells: csv::StringRecord,
    /// Places of cells that cannot be decoded: their texts are guesses. Hardly ever any.
    pub undecodable: Vec<usize>,
    /// Where in its chunk it begins, in bytes; blank lines may come first.
    pub place: usize,
}

impl Row {
    /// Whether all cells are empty.
    pub fn is_blank(&self) -> bool {
        self.cells.as_slice().trim().is_empty()
    }
}

impl Chunk {
    /// Line of the file on which a row of it begins.
    pub fn line_of(&self, row: &Row) -> u64 {
        let rows = self.bytes.get(row.place..).unwrap_or_default();
        let above = self.bytes.get(..row.place + blank(rows)).unwrap_or(&self.bytes);
        self.line + line_breaks(above)
    }
}

impl Head {
    /// The rows of a chunk, blank ones too.
    pub fn rows<'a>(&'a self, chunk: &'a Chunk) -> impl Iterator<Item = Row> + 'a {
        let mut builder = csv::ReaderBuilder::new();
        let separator = self.dialect.separator;
        let mut reader =
            builder.has_headers(false).flexible(true).delimiter(separator).from_reader(chunk.bytes.as_slice());
        let replaced = memchr::memmem::find(&chunk.bytes, REPLACED.as_bytes()).is_some();
        let mut record = csv::ByteRecord::new();
        std::iter::from_fn(move || {
            let place = reader.position().byte() as usize;
            // Bytes in memory, rows of any length: there is nothing that could fail.
            let more = reader.read_byte_record(&mut record).unwrap_or(false);
            more.then(|| row(&record, place, replaced))
        })
    }
}

impl Head {
    /// The rows of a chunk with the lines of the file on which they begin, blank ones too.
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

/// What a decoder writes for what it cannot read.
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
