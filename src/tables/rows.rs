//! A stream of bytes, cut into chunks of whole rows.
//!
//! Its own because bytes arrive as the network pleases, and whoever answers rows must have them whole: a line break
//! within the quotes of a cell ends no row.

use std::collections::VecDeque;
use std::mem::take;

/// Longest row, in bytes: what is longer is no row, and would be kept in memory whole.
pub const LONGEST_ROW_BYTES: usize = 1 << 20;
/// A chunk is given out when it has so many bytes: some hundred rows.
const CHUNK_BYTES: usize = 32 << 10;
/// Most rows of a chunk: the answer to a row of one byte is some hundred bytes long.
const CHUNK_ROWS: usize = 512;

/// A row longer than [`LONGEST_ROW_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row is longer than {LONGEST_ROW_BYTES} bytes")]
pub struct RowTooLong;

/// Line breaks in bytes as an editor counts them: LF, CR LF and CR are one each.
pub(super) fn line_breaks(bytes: &[u8]) -> u64 {
    let feeds = memchr::memchr_iter(b'\n', bytes).count();
    let lone = memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n')).count();
    (feeds + lone) as u64
}

/// Where in a row of cells a byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    CellStart,
    Cell,
    Quoted,
    /// After a quote within quotes: it ends them, unless another one follows.
    QuoteInQuotes,
}

/// Where rows of a buffer end.
#[derive(Debug, Default)]
struct Ends {
    /// The last whole row.
    whole: usize,
    /// Every [`CHUNK_ROWS`]th row, and how many came after the last of them.
    marks: VecDeque<usize>,
    since: usize,
}

impl Ends {
    fn note(&mut self, end: usize) {
        self.whole = end;
        self.since += 1;
        if self.since == CHUNK_ROWS {
            self.marks.push_back(end);
            self.since = 0;
        }
    }

    /// The end of the next chunk, counted from which the others stay.
    fn cut(&mut self) -> usize {
        let end = self.marks.pop_front().unwrap_or(self.whole);
        self.whole -= end;
        self.marks.iter_mut().for_each(|mark| *mark -= end);
        if self.whole == 0 {
            self.since = 0;
        }
        end
    }
}

/// Collects bytes and gives out whole rows.
#[derive(Debug)]
pub struct Rows {
    buffer: Vec<u8>,
    ends: Ends,
    /// Bytes of the buffer that were looked at.
    seen: usize,
    place: Place,
    /// Between cells; `None` where rows are lines and quotes mean nothing.
    separator: Option<u8>,
    /// Line breaks of what was given out.
    lines: u64,
}

impl Rows {
    /// Rows end at line breaks.
    pub fn lines() -> Self {
        Self::new(None)
    }

    /// Rows of cells end at line breaks outside of quotes.
    pub fn cells(separator: u8) -> Self {
        Self::new(Some(separator))
    }

    fn new(separator: Option<u8>) -> Self {
        let (buffer, ends) = (Vec::new(), Ends::default());
        Self { buffer, ends, seen: 0, place: Place::CellStart, separator, lines: 0 }
    }

    /// How many line breaks there are in the rows that were given out.
    pub fn lines_out(&self) -> u64 {
        self.lines
    }

    /// Adds bytes as they came.
    ///
    /// # Errors
    /// [`RowTooLong`]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), RowTooLong> {
        self.buffer.extend_from_slice(bytes);
        self.look();
        if self.buffer.len() - self.ends.whole > LONGEST_ROW_BYTES { Err(RowTooLong) } else { Ok(()) }
    }

    /// Whole rows, where enough of them have come.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        if self.ends.whole >= CHUNK_BYTES || !self.ends.marks.is_empty() { self.take_whole() } else { None }
    }

    /// Whatever whole rows have come, however few; more than a chunk may hold stay for the next.
    pub fn take_whole(&mut self) -> Option<Vec<u8>> {
        if self.ends.whole == 0 {
            return None;
        }
        let end = self.ends.cut();
        let rest = self.buffer.split_off(end);
        self.seen -= end;
        let rows = std::mem::replace(&mut self.buffer, rest);
        self.lines += line_breaks(&rows);
        Some(rows)
    }

    /// What is left when no more bytes come: the last row may lack its end.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        (self.ends, self.seen) = (Ends::default(), 0);
        Some(take(&mut self.buffer)).filter(|rest| !rest.is_empty())
    }

    fn look(&mut self) {
        let fresh = &self.buffer[self.seen..];
        let in_quotes = matches!(self.place, Place::Quoted | Place::QuoteInQuotes);
        let quotes = in_quotes || self.separator.is_some() && memchr::memchr(b'"', fresh).is_some();
        if !quotes {
            memchr::memchr_iter(b'\n', fresh).for_each(|at| self.ends.note(self.seen + at + 1));
            if let Some(last) = fresh.last() {
                self.place = if self.parts(*last) { Place::CellStart } else { Place::Cell };
            }
            self.seen = self.buffer.len();
            return;
        }
        for at in self.seen..self.buffer.len() {
            let byte = self.buffer[at];
            self.step(byte);
            if byte == b'\n' && self.place == Place::CellStart {
                self.ends.note(at + 1);
            }
        }
        self.seen = self.buffer.len();
    }

    /// Whether a byte ends a cell.
    fn parts(&self, byte: u8) -> bool {
        byte == b'\n' || byte == b'\r' || self.separator == Some(byte)
    }

    /// The rules of the `csv` crate: quotes mean something only where a cell begins.
    fn step(&mut self, byte: u8) {
        self.place = match (self.place, byte) {
            (Place::CellStart, b'"') if self.separator.is_some() => Place::Quoted,
            (Place::Quoted, b'"') => Place::QuoteInQuotes,
            (Place::Quoted, _) => Place::Quoted,
            (Place::QuoteInQuotes, b'"') => Place::Quoted,
            (_, byte) if self.parts(byte) => Place::CellStart,
            _ => Place::Cell,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quoted_line_breaks_end_no_row() {
        let mut rows = Rows::cells(b',');
        rows.push(b"id,formula\n\"a\nb\",\"Fe\"\n\"c\"\"").unwrap();
        assert_eq!(rows.chunk(), None);
        assert_eq!(rows.take_whole().unwrap(), b"id,formula\n\"a\nb\",\"Fe\"\n");
        assert_eq!(rows.lines_out(), 3);
        rows.push(b"\nd\",Fe\n").unwrap();
        assert_eq!(rows.take_whole().unwrap(), b"\"c\"\"\nd\",Fe\n");
        assert_eq!((rows.take_whole(), rows.rest()), (None, None));
        let mut lines = Rows::lines();
        lines.push(b"{\"a\n\"").unwrap();
        assert_eq!(lines.take_whole().unwrap(), b"{\"a\n");
        assert_eq!(lines.rest().unwrap(), b"\"");
    }

    #[test]
    fn a_chunk_of_short_rows_ends_before_it_has_too_many() {
        for mut rows in [Rows::lines(), Rows::cells(b',')] {
            let text = "1\n".repeat(CHUNK_ROWS * 2 + 3) + "\"2\"\n4";
            for piece in text.as_bytes().chunks(700) {
                rows.push(piece).unwrap();
            }
            let chunks: Vec<Vec<u8>> = std::iter::from_fn(|| rows.chunk()).collect();
            assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [CHUNK_ROWS * 2; 2]);
            assert_eq!(rows.take_whole().unwrap(), b"1\n1\n1\n\"2\"\n");
            assert_eq!((rows.take_whole(), rows.rest().unwrap()), (None, b"4".to_vec()));
        }
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let cases: [(&[u8], u64); 6] =
            [(b"", 0), (b"a\nb", 1), (b"a\r\nb\r\n", 2), (b"a\rb\r", 2), (b"\n\r\n\r", 3), (b"\r\r\n", 2)];
        cases.into_iter().for_each(|(bytes, count)| assert_eq!(line_breaks(bytes), count, "{bytes:?}"));
    }

    #[test]
    fn what_never_ends_is_refused() {
        let mut rows = Rows::cells(b';');
        assert_eq!((0..17).map(|_| rows.push(&[b'x'; 1 << 16])).filter(Result::is_err).count(), 1);
    }

    fn records(bytes: &[u8], separator: u8) -> Vec<csv::ByteRecord> {
        let mut builder = csv::ReaderBuilder::new();
        let reader = builder.has_headers(false).flexible(true).delimiter(separator).from_reader(bytes);
        reader.into_byte_records().map(Result::unwrap).collect()
    }

    proptest! {
        #[test]
        fn chunks_hold_the_records_that_the_whole_holds(
            text in prop::collection::vec(prop::sample::select(b"a,;\"\n\r".to_vec()), 0..80),
            cuts in prop::collection::vec(1usize..9, 1..40),
            separator in prop::sample::select(b",;".to_vec()),
        ) {
            let (mut rows, mut chunked, mut left) = (Rows::cells(separator), Vec::new(), text.as_slice());
            let mut cuts = cuts.iter().cycle();
            while !left.is_empty() {
                let (now, later) = left.split_at((*cuts.next().unwrap()).min(left.len()));
                rows.push(now).unwrap();
                chunked.extend(rows.take_whole());
                left = later;
            }
            prop_assert_eq!(rows.lines_out(), line_breaks(&chunked.concat()));
            chunked.extend(rows.rest());
            prop_assert_eq!(chunked.concat(), text.clone());
            let separate: Vec<csv::ByteRecord> = chunked.iter().flat_map(|chunk| records(chunk, separator)).collect();
            prop_assert_eq!(separate, records(&text, separator));
        }
    }
}
