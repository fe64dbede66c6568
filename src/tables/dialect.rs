//! Finds the cell separator and the decimal mark of a table, by how well its first rows agree with each other.

use super::error::TableError;
use super::header::{Extent, Place, Record, locate};
use super::rows::{Rows, line_breaks};

/// Possible separators. Of equally good ones the last wins; the comma is first because it also occurs in texts and
/// numbers.
const SEPARATORS: [u8; 4] = *b",|\t;";
/// Number of records to examine.
const LOOKED_AT: usize = 200;
/// If this many rows do not fit the header, they are treated as bad rows instead of waiting for more.
const PATIENCE: usize = 8;

/// How cells and numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Separator of cells: `,` `;` tab or `|`.
    pub separator: u8,
    /// Whether numbers are written `0,12`.
    pub decimal_comma: bool,
}

impl Dialect {
    /// Finds the decimal mark from the rows. Adds a note if the format differs from CSV.
    pub(super) fn of(separator: u8, rows: &[Record], notes: &mut Vec<String>) -> Self {
        let name = match separator {
            b',' => return Self { separator, decimal_comma: false },
            b'\t' => "tabs",
            b';' => "\";\"",
            _ => "\"|\"",
        };
        let mut marks = Marks::default();
        rows.iter().flat_map(|row| &row.cells).for_each(|cell| marks.count(cell));
        let decimal_comma = match marks {
            Marks { commas, points, .. } if commas + points > 0 => commas >= points,
            Marks { grouped_commas, grouped_points, .. } if grouped_commas + grouped_points > 0 => {
                grouped_commas > grouped_points
            }
            // Semicolons are normally used because the comma is the decimal mark.
            _ => separator == b';',
        };
        notes.push(format!(
            "cells are separated by {name}{}",
            if decimal_comma { ", and numbers have a decimal comma" } else { "" }
        ));
        Self { separator, decimal_comma }
    }
}

/// Counts of numbers by mark. A mark before exactly three digits may separate thousands; these are counted apart and
/// used only if there are no other marks.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    commas: usize,
    points: usize,
    grouped_commas: usize,
    grouped_points: usize,
}

impl Marks {
    fn count(&mut self, cell: &str) {
        let number = cell.trim_start_matches(['+', '-', '<', '>', '≤', '≥', '~', ' ']).trim_end_matches(['%', ' ']);
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = match number.split_once(['e', 'E']) {
            Some((before, exponent)) if digits(exponent.trim_start_matches(['+', '-'])) => before,
            _ => number,
        };
        let Some(at) = number.rfind([',', '.']) else { return };
        let (before, mark, after) = (&number[..at], &number[at..=at], &number[at + 1..]);
        // Other marks before it separate thousands.
        let groups = before.split(if mark == "," { '.' } else { ',' });
        let whole = groups.clone().count() > 1;
        if !(groups.clone().all(digits) || before.is_empty()) || !digits(after) {
            return;
        }
        let thousands =
            !whole && after.len() == 3 && before.len() <= 3 && !before.starts_with('0') && !before.is_empty();
        let count = match (mark, thousands) {
            (",", false) => &mut self.commas,
            (",", true) => &mut self.grouped_commas,
            (_, false) => &mut self.points,
            (_, true) => &mut self.grouped_points,
        };
        *count += 1;
    }
}

/// The separator with the best agreement of the first rows, its records, and the place of the header. `None` if more
/// text is needed.
pub(super) fn choose(text: &[u8], extent: Extent) -> Result<Option<(u8, Vec<Record>, Place)>, TableError> {
    let mut best: Option<(f64, u8, Vec<Record>, Place)> = None;
    let mut single = None;
    for separator in SEPARATORS {
        let records = records(text, separator, extent)?;
        let Some(place) = locate(&records, extent) else { continue };
        let width = records[place.header].cells.len();
        if width < 2 {
            single = single.or((separator == b',').then_some((separator, records, place)));
            continue;
        }
        let rows: Vec<&Record> = records[place.below()..].iter().filter(|row| !row.is_blank()).collect();
        let fitting = rows.iter().filter(|row| row.cells.len() == width).count();
        if extent == Extent::FirstLines && fitting == 0 && rows.len() < PATIENCE {
            continue;
        }
        let agreement = if rows.is_empty() { 1.0 } else { fitting as f64 / rows.len() as f64 };
        let known = if records[place.header].is_known() { 0.2 } else { 0.0 };
        let score = agreement + known - 0.2 * place.skipped.len().min(3) as f64 - 1e-3 * place.header as f64;
        if best.as_ref().is_none_or(|(least, ..)| score >= *least) {
            best = Some((score, separator, records, place));
        }
    }
    let found = best.map(|(_, separator, records, place)| (separator, records, place)).or(single);
    match found {
        None if extent == Extent::Whole => {
            let detail = "the table is empty: a header row that names the columns is expected, and rows below it";
            Err(TableError::Unreadable(detail.to_owned()))
        }
        found => Ok(found),
    }
}

/// The first complete records of a text.
fn records(text: &[u8], separator: u8, extent: Extent) -> Result<Vec<Record>, TableError> {
    let mut whole = Rows::cells(separator);
    let pushed = whole.push(text);
    let rest = if extent == Extent::Whole { Some(text.to_vec()) } else { whole.take_whole() };
    let text = match (pushed, rest) {
        (_, Some(text)) => text,
        (Err(error), None) => return Err(TableError::TooLarge(error.to_string())),
        (Ok(()), None) => return Ok(Vec::new()),
    };
    let mut builder = csv::ReaderBuilder::new();
    let mut reader = builder.has_headers(false).flexible(true).delimiter(separator).from_reader(text.as_slice());
    let (mut records, mut cells) = (Vec::new(), csv::ByteRecord::new());
    let (mut line, mut counted) = (1, 0);
    while records.len() < LOOKED_AT {
        let start = reader.position().byte() as usize;
        if !reader.read_byte_record(&mut cells).map_err(|error| TableError::Unreadable(error.to_string()))? {
            break;
        }
        let start = start + blank(&text[start.min(text.len())..]);
        line += line_breaks(&text[counted..start]);
        counted = start;
        let mut end = reader.position().byte() as usize;
        if text[..end].ends_with(b"\r") && text[end..].starts_with(b"\n") {
            end += 1;
        }
        let cells = cells.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect();
        records.push(Record { cells, end, line });
    }
    Ok(records)
}

/// Number of bytes of line breaks before a record.
pub(super) fn blank(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}
