//! Reads a stream of bytes into a header and chunks of complete rows. A table may be larger than the memory.

use std::sync::Arc;

use super::encoding::{Charset, Transcoder, returns_end_lines};
use super::error::{Limits, TableError};
use super::foreign::refuse;
use super::header::Extent;
use super::opening::{Head, Opening, read_opening};
use super::rows::{LONGEST_ROW_BYTES, Rows};
use super::workbook::{is_workbook, workbook_to_text};

pub use super::record::{Chunk, Row};

/// Largest size of the text before the first row, in bytes.
const LONGEST_OPENING_BYTES: usize = 1 << 20;
/// After this many lines or bytes, the header is decided from the available text.
const PATIENT_LINES: usize = 64;
const PATIENT_BYTES: usize = 64 << 10;

/// Options of the user for reading a table. All else is detected.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Encoding of the text (`--encoding`, `?encoding=`).
    pub encoding: Option<Charset>,
    /// Sheet of a workbook, by name or by number from 1; `None` for the first.
    pub sheet: Option<String>,
}

/// When to decide on the header. This never depends on time, so the same bytes are always read the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decide {
    /// After this many bytes, or at the end.
    AtBytes(usize),
    /// After the header and the row below it, because the client may wait for an answer before it sends more.
    AtFirstRow,
}

/// Takes the bytes of a text and returns its header and rows.
#[derive(Debug)]
pub struct TableReader {
    named: Option<Charset>,
    decide: Decide,
    state: State,
    ended: bool,
}

#[derive(Debug)]
enum State {
    Undecided {
        bytes: Vec<u8>,
        /// Prefixes of the bytes are examined in an order that depends only on the bytes. This is the length of the
        /// last one.
        looked: usize,
        /// Number of prefixes examined.
        looks: usize,
    },
    Decided(Box<Decided>),
}

#[derive(Debug)]
struct Decided {
    head: Arc<Head>,
    transcoder: Transcoder,
    rows: Rows,
    /// Line number of the first row.
    line: u64,
}

impl TableReader {
    /// A reader without any bytes.
    pub fn new(options: &ReadOptions, decide: Decide) -> Self {
        let state = State::Undecided { bytes: Vec::new(), looked: 0, looks: 0 };
        Self { named: options.encoding, decide, state, ended: false }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// The bytes are not a table, or a row is too long.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TableError> {
        match &mut self.state {
            State::Decided(decided) => decided.push(bytes),
            State::Undecided { bytes: pending, .. } => {
                pending.extend_from_slice(bytes);
                refuse(pending)?;
                self.look()
            }
        }
    }

    /// Marks the end of the bytes.
    ///
    /// # Errors
    /// Same as [`TableReader::push`].
    pub fn end(&mut self) -> Result<(), TableError> {
        self.ended = true;
        if let State::Undecided { bytes, .. } = &mut self.state {
            let bytes = std::mem::take(bytes);
            let decided = decide(&bytes, bytes.len(), Extent::Whole, self.named)?.ok_or_else(no_header)?;
            self.state = State::Decided(Box::new(decided));
        }
        match &mut self.state {
            State::Decided(decided) => decided.end(),
            State::Undecided { .. } => Ok(()),
        }
    }

    /// The header, once it is known.
    pub fn head(&self) -> Option<&Arc<Head>> {
        match &self.state {
            State::Decided(decided) => Some(&decided.head),
            State::Undecided { .. } => None,
        }
    }

    /// A chunk of complete rows, if enough are available or the input has ended.
    pub fn chunk(&mut self) -> Option<Chunk> {
        let ended = self.ended;
        let State::Decided(decided) = &mut self.state else { return None };
        let line = decided.next_line();
        let bytes = decided.rows.chunk().or_else(|| ended.then(|| decided.rows.rest()).flatten())?;
        Some(Chunk { bytes, line })
    }

    /// All available complete rows, up to the size of a chunk.
    pub fn take_whole(&mut self) -> Option<Chunk> {
        let State::Decided(decided) = &mut self.state else { return None };
        let line = decided.next_line();
        decided.rows.take_whole().map(|bytes| Chunk { bytes, line })
    }

    /// Tries to find the header in longer and longer prefixes of the bytes. The prefixes do not depend on how the bytes
    /// arrived.
    fn look(&mut self) -> Result<(), TableError> {
        while let State::Undecided { bytes, looked, looks } = &mut self.state {
            let next = match self.decide {
                Decide::AtFirstRow if *looks < PATIENT_LINES && *looked < PATIENT_BYTES => {
                    // After a line break. In UTF-16 its second byte may follow.
                    let ends = |at: &usize| {
                        let breaks = |at: usize| bytes.get(at).is_some_and(|byte| matches!(byte, b'\r' | b'\n'));
                        breaks(at - 1) || *at > 1 && bytes.get(at - 1) == Some(&0) && breaks(at - 2)
                    };
                    let most = bytes.len().min(PATIENT_BYTES);
                    match (*looked + 1..=most).find(ends) {
                        Some(end) => (end, Extent::FirstLines),
                        None => {
                            // Do not search the part without a line break again.
                            *looked = most.saturating_sub(1).max(*looked);
                            match most {
                                PATIENT_BYTES => (PATIENT_BYTES, Extent::Sample),
                                _ => return Ok(()),
                            }
                        }
                    }
                }
                Decide::AtFirstRow if *looks == PATIENT_LINES => (*looked, Extent::Sample),
                Decide::AtFirstRow => ((*looked).max(PATIENT_BYTES / 2) * 2, Extent::Sample),
                Decide::AtBytes(count) if *looked == 0 => (count.max(1), Extent::Sample),
                Decide::AtBytes(_) => (*looked * 2, Extent::Sample),
            };
            let (end, extent) = next;
            if end > bytes.len() {
                return Ok(());
            }
            if let Some(decided) = decide(bytes, end, extent, self.named)? {
                self.state = State::Decided(Box::new(decided));
            } else if end >= LONGEST_OPENING_BYTES {
                return Err(no_header());
            } else {
                (*looked, *looks) = (end, *looks + 1);
            }
        }
        Ok(())
    }
}

impl Decided {
    fn push(&mut self, bytes: &[u8]) -> Result<(), TableError> {
        let line = self.next_line();
        let text = self.transcoder.push(bytes);
        self.rows.push(&text).map_err(|error| too_long(error, line))
    }

    fn end(&mut self) -> Result<(), TableError> {
        let text = self.transcoder.end();
        let line = self.next_line();
        self.rows.push(&text).map_err(|error| too_long(error, line))
    }

    /// Line number of the next rows.
    fn next_line(&self) -> u64 {
        self.line + self.rows.lines_out()
    }
}

/// Tries to find the header in the first bytes. If found, takes all bytes after it as rows.
fn decide(bytes: &[u8], end: usize, extent: Extent, named: Option<Charset>) -> Result<Option<Decided>, TableError> {
    let (sample, later) = bytes.split_at(end.min(bytes.len()));
    let known = Charset::find(sample, named);
    if !known.charset.has_zeros() && memchr::memchr(0, sample).is_some() {
        let detail = "the file holds bytes that no text has: a table as text (CSV) or a workbook (.xlsx, .xls, .ods) is expected";
        return Err(TableError::Unreadable(detail.to_owned()));
    }
    let mut transcoder = Transcoder::new(known.charset);
    let mut text = transcoder.push(sample.get(known.mark..).unwrap_or_default());
    if returns_end_lines(&text) {
        text = transcoder.return_ends_line(text);
    }
    let Some(Opening { mut head, bytes: above, line }) = read_opening(&text, extent)? else { return Ok(None) };
    head.notes.splice(0..0, known.note);
    let rows = Rows::cells(head.dialect.separator);
    let below = text.get(above..).unwrap_or_default().to_vec();
    let mut decided = Decided { head: Arc::new(head), transcoder, rows, line };
    decided.rows.push(&below).map_err(|error| too_long(error, line))?;
    decided.push(later)?;
    Ok(Some(decided))
}

fn no_header() -> TableError {
    let detail = format!("no header row with a row below it was found in the first {LONGEST_OPENING_BYTES} bytes");
    TableError::TooLarge(detail)
}

fn too_long(error: super::rows::RowTooLong, line: u64) -> TableError {
    TableError::TooLarge(format!("{error} (at or below line {line}): is a quote never closed?"))
}

/// Reads a whole table, as text or as a workbook (within limits).
///
/// # Errors
/// [`TableError`]
pub fn read_table(bytes: &[u8], options: &ReadOptions, limits: Limits) -> Result<(Arc<Head>, Chunk), TableError> {
    if is_workbook(bytes) {
        let (text, mut notes) = workbook_to_text(bytes, options.sheet.as_deref(), limits)?;
        let named = Some(Charset::UTF_8);
        let (head, chunk) = read_text(&text, named)?;
        let mut head = Arc::unwrap_or_clone(head);
        notes.append(&mut head.notes);
        return Ok((Arc::new(Head { notes, ..head }), chunk));
    }
    read_text(bytes, options.encoding)
}

/// Reads a whole text. Only its first [`LONGEST_ROW_BYTES`] decide on the header.
fn read_text(bytes: &[u8], encoding: Option<Charset>) -> Result<(Arc<Head>, Chunk), TableError> {
    let options = ReadOptions { encoding, sheet: None };
    let mut reader = TableReader::new(&options, Decide::AtBytes(LONGEST_ROW_BYTES));
    let mut whole: Option<Chunk> = None;
    let mut keep = |chunk: Chunk| match &mut whole {
        None => whole = Some(chunk),
        Some(whole) => whole.bytes.extend(chunk.bytes),
    };
    for piece in bytes.chunks(LONGEST_ROW_BYTES / 2) {
        reader.push(piece)?;
        std::iter::from_fn(|| reader.take_whole()).for_each(&mut keep);
    }
    reader.end()?;
    std::iter::from_fn(|| reader.chunk()).for_each(&mut keep);
    let head = reader.head().cloned().ok_or_else(no_header)?;
    let line = head.line + 1;
    Ok((head, whole.unwrap_or(Chunk { bytes: Vec::new(), line })))
}
