//! Reads the beginning of a table: header, separator, and the titles and units around the header.

use super::dialect::choose;
use super::error::TableError;
use super::header::{Extent, Place, Record, Skipped};
use super::looks::{Unit, bare, is_number, unit};
use super::rows::line_breaks;

pub use super::dialect::Dialect;

/// Largest number of skipped lines that are named in notes.
const NAMED_LINES: usize = 4;
/// With at least this many numbers, a line is not a header.
const LOST_NUMBERS: usize = 3;

/// The header of a table and how it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Names of the columns, trimmed; empty for an unnamed one.
    pub names: Vec<String>,
    /// The row of units, if there is one: as long as `names`, empty for columns without a unit.
    pub units: Option<Vec<String>>,
    /// Line number of the header in the file.
    pub line: u64,
    /// How cells and numbers are written.
    pub dialect: Dialect,
    /// Notes for the user about guesses and skipped lines, each once.
    pub notes: Vec<String>,
}

/// A header and the place where the rows begin.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) head: Head,
    /// Number of bytes before the first row.
    pub(super) bytes: usize,
    /// Line number after these bytes.
    pub(super) line: u64,
}

/// Reads the beginning of a text. `None` if more text is needed.
///
/// # Errors
/// The text has no header.
pub(super) fn read_opening(text: &[u8], extent: Extent) -> Result<Option<Opening>, TableError> {
    if extent != Extent::FirstLines {
        refuse_lost_lines(text)?;
    }
    let Some((separator, records, place)) = choose(text, extent)? else { return Ok(None) };
    let header = &records[place.header];
    check_width(header, records.get(place.header + 1))?;
    let mut names: Vec<String> = header.cells.iter().map(|name| name.replace(['\r', '\n'], " ")).collect();
    let mut notes = skipped_notes(&records, &place);
    if place.commented {
        notes.push(format!("line {} begins with \"#\" and was read as the header", header.line));
        if let Some(first) = names.first_mut() {
            let name = first.trim_start_matches('#').trim();
            *first = if name.is_empty() { "#".to_owned() } else { name.to_owned() };
        }
    }
    let units = place.units.and_then(|at| records.get(at)).map(|row| {
        let units: Vec<String> = (0..names.len()).map(|at| unit_of(row.cells.get(at))).collect();
        let mut said: Vec<&str> = units.iter().map(String::as_str).filter(|unit| !unit.is_empty()).collect();
        said.dedup();
        notes.push(format!("line {} is a row of units ({})", row.line, said.join(", ")));
        units
    });
    let bytes = place.units.filter(|at| *at > place.header).and_then(|at| records.get(at)).unwrap_or(header).end;
    let dialect = Dialect::of(separator, records.get(place.below()..).unwrap_or_default(), &mut notes);
    let head = Head { names, units, line: header.line, dialect, notes };
    Ok(Some(Opening { head, bytes, line: 1 + line_breaks(text.get(..bytes).unwrap_or_default()) }))
}

/// Refuses a table that is a single line of mostly numbers: its line breaks were lost.
fn refuse_lost_lines(text: &[u8]) -> Result<(), TableError> {
    let line = text.trim_ascii();
    if line.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return Ok(());
    }
    let line = String::from_utf8_lossy(line);
    let cells = || line.split([',', ';', '\t', '|']).map(str::trim);
    let (width, numbers) = (cells().count(), cells().filter(|cell| is_number(cell)).count());
    if numbers < LOST_NUMBERS || numbers * 3 < width {
        return Ok(());
    }
    let detail = format!(
        "this is a single line of {width} cells, {numbers} of them numbers: its line breaks are gone, or its header row is \
         missing. curl takes line breaks out with -d: send a file with --data-binary @FILE"
    );
    Err(TableError::Unreadable(detail))
}

/// Refuses a single text above rows of numbers: it is a title, and the header is missing.
fn check_width(header: &Record, below: Option<&Record>) -> Result<(), TableError> {
    let numbers = |row: &&Record| row.cells.iter().all(|cell| cell.is_empty() || is_number(cell));
    match below.filter(|row| header.cells.len() == 1 && row.cells.len() > 2).filter(numbers) {
        None => Ok(()),
        Some(row) => {
            let (line, quoted, width) = (header.line, header.quoted(), row.cells.len());
            let detail = format!(
                "line {line} ({quoted}) names no columns, and line {} has {width} numbers: a header row that names \
                 each column is expected above them",
                row.line
            );
            Err(TableError::Unreadable(detail))
        }
    }
}

fn unit_of(cell: Option<&String>) -> String {
    let named = cell.filter(|cell| unit(cell).is_some_and(|unit| unit != Unit::None));
    named.map(|cell| bare(cell).to_owned()).unwrap_or_default()
}

fn skipped_notes(records: &[Record], place: &Place) -> Vec<String> {
    let note = |(at, why): &(usize, Skipped)| {
        let what = match why {
            Skipped::Title => "is a title",
            Skipped::Groups => "names groups of columns",
            Skipped::Comment => "is a comment",
        };
        records.get(*at).map(|record| format!("line {} ({}) {what} and was skipped", record.line, record.quoted()))
    };
    let mut notes: Vec<String> = place.skipped.iter().take(NAMED_LINES).filter_map(note).collect();
    let more = place.skipped.len().saturating_sub(NAMED_LINES);
    if more > 0 {
        notes.push(format!("{more} more lines above the header were skipped"));
    }
    notes
}
