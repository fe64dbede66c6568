//! Cuts a stream of bytes into chunks of complete rows. A line break in a quoted cell does not end a row.

use std::collections::VecDeque;
use std::mem::take;

/// Longest row, in bytes. A row is kept in memory, so longer ones are refused.
pub const LONGEST_ROW_BYTES: usize = 1 << 20;
/// A chunk is returned when it has this many bytes: some hundred rows.
const CHUNK_BYTES: usize = 32 << 10;
/// Most rows in a chunk. The answer to a row of one byte has some hundred bytes.
const CHUNK_ROWS: usize = 512;

/// A row longer than [`LONGEST_ROW_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row is longer than {LONGEST_ROW_BYTES} bytes")]
pub struct RowTooLong;

/// Counts line breaks as an editor does: LF, CR LF and CR count as one each.
pub(super) fn line_breaks(bytes: &[u8]) -> u64 {
    let feeds = memchr::memchr_iter(b'\n', bytes).count();
    let lone = memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n')).count();
    (feeds + lone) as u64
}

/// The position of a byte in a row of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    CellStart,
    Cell,
    Quoted,
    /// After a quote inside quotes. It ends them unless another quote follows.
    QuoteInQuotes,
}

/// The ends of rows in a buffer.
#[derive(Debug, Default)]
struct Ends {
    /// End of the last complete row.
    whole: usize,
    /// The end of every [`CHUNK_ROWS`]th row, and the number of rows after the last of these.
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

    /// Removes the next chunk: returns its end and shifts the other positions.
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

/// Collects bytes and returns complete rows.
#[derive(Debug)]
pub struct Rows {
    buffer: Vec<u8>,
    ends: Ends,
    /// Number of bytes of the buffer that were examined.
    seen: usize,
    place: Place,
    /// Separator of cells; `None` if rows are lines and quotes have no meaning.
    separator: Option<u8>,
    /// Number of line breaks in the returned rows.
    lines: u64,
}

impl Rows {
    /// Rows that end at line breaks.
    pub fn lines() -> Self {
        Self::new(None)
    }

    /// Rows of cells that end at line breaks outside quotes.
    pub fn cells(separator: u8) -> Self {
        Self::new(Some(separator))
    }

    fn new(separator: Option<u8>) -> Self {
        let (buffer, ends) = (Vec::new(), Ends::default());
        Self { buffer, ends, seen: 0, place: Place::CellStart, separator, lines: 0 }
    }

    /// Number of line breaks in the returned rows.
    pub fn lines_out(&self) -> u64 {
        self.lines
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// [`RowTooLong`]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), RowTooLong> {
        self.buffer.extend_from_slice(bytes);
        self.look();
        if self.buffer.len() - self.ends.whole > LONGEST_ROW_BYTES { Err(RowTooLong) } else { Ok(()) }
    }

    /// A chunk of complete rows, if enough are available.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        if self.ends.whole >= CHUNK_BYTES || !self.ends.marks.is_empty() { self.take_whole() } else { None }
    }

    /// The available complete rows, up to the size of a chunk.
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

    /// The remaining bytes after the input has ended. The last row may lack its line break.
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

    /// Follows the rules of the `csv` crate: quotes have a meaning only at the beginning of a cell.
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
