//! Finds the header among the first records of a table.
//!
//! A wrong header makes everything below it wrong. So the search uses only the shapes of records, and takes the first
//! record unless another one is clearly the header.

use super::looks::{Unit, is_element, is_formula, is_number, names_formulas, unit};

/// How much of the text is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// The first lines of a stream. The client may wait for an answer, so the first clear row decides; in doubt, wait
    /// for more.
    FirstLines,
    /// A full sample; no more will be examined.
    Sample,
    /// The whole text.
    Whole,
}

/// Number of records compared with a possible header.
const COMPARED: usize = 20;
/// After this many records with one cell each, the table is taken to have one column.
const SINGLE_CELLS: usize = 8;
/// Number of characters of a line quoted in a note.
const QUOTED: usize = 50;

/// One of the first records.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// The cells, trimmed.
    pub(super) cells: Vec<String>,
    /// Byte position after its line break.
    pub(super) end: usize,
    pub(super) line: u64,
}

/// The kind of a record above the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    Title,
    Groups,
    Comment,
}

/// The place of the header, as indices of records.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) header: usize,
    /// Whether the header is written as a comment.
    pub(super) commented: bool,
    pub(super) units: Option<usize>,
    pub(super) skipped: Vec<(usize, Skipped)>,
}

impl Place {
    /// Index of the first record of values.
    pub(super) fn below(&self) -> usize {
        1 + self.units.map_or(self.header, |units| units.max(self.header))
    }
}

impl Record {
    pub(super) fn is_blank(&self) -> bool {
        self.filled() == 0
    }

    fn filled(&self) -> usize {
        self.cells.iter().filter(|cell| !cell.is_empty()).count()
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(String::as_str).filter(|cell| !cell.is_empty())
    }

    fn first(&self) -> &str {
        self.cells.first().map_or("", String::as_str)
    }

    /// The texts of the record, shortened for a note.
    pub(super) fn quoted(&self) -> String {
        let text = self.texts().collect::<Vec<_>>().join(", ");
        let short: String = text.chars().take(QUOTED).collect();
        format!("\"{short}{}\"", if short.len() < text.len() { "…" } else { "" })
    }

    fn is_comment(&self) -> bool {
        let first = self.first();
        let percent = first.strip_prefix('%').is_some_and(|rest| rest.trim_start().starts_with(char::is_alphabetic));
        (first.starts_with('#') || first.starts_with("//") || percent) && !self.is_units()
    }

    /// Whether the record looks like names, not values.
    fn is_headerlike(&self) -> bool {
        let numbers = self.texts().filter(|cell| is_number(cell)).count();
        !self.is_blank() && numbers * 4 <= self.filled() && !self.texts().any(is_formula)
    }

    /// Whether the record contains names that only a header has.
    pub(super) fn is_known(&self) -> bool {
        self.texts().any(|cell| cell.eq_ignore_ascii_case("formula"))
            || self.texts().filter(|cell| is_element(cell)).count() > 1
    }

    fn is_units(&self) -> bool {
        let kinds: Vec<Option<Unit>> = self.texts().map(unit).collect();
        let clear = kinds.iter().filter(|kind| **kind == Some(Unit::Clear)).count();
        let strange = kinds.iter().filter(|kind| kind.is_none()).count();
        // A word before the units, such as "in".
        let led = kinds.first() == Some(&None) && clear > 1 && !is_number(self.texts().next().unwrap_or_default());
        clear > 0 && strange <= usize::from(led)
    }

    /// Whether some cells are empty, as after merging cells or around a centred title.
    fn has_gaps(&self) -> bool {
        let leading = self.cells.iter().take_while(|cell| cell.is_empty()).count();
        leading > 1 || self.cells.iter().skip(leading).any(String::is_empty)
    }
}

/// Finds the header. `None` if more text is needed to decide.
pub(super) fn locate(records: &[Record], extent: Extent) -> Option<Place> {
    let some: Vec<usize> = (0..records.len()).filter(|at| !records[*at].is_blank()).collect();
    let (mut skipped, mut units) = (Vec::new(), None);
    for (order, at) in some.iter().copied().enumerate() {
        let (record, rest) = (&records[at], &some[order + 1..]);
        let below: Vec<&Record> = rest.iter().map(|at| &records[*at]).take(COMPARED).collect();
        let Some(next) = below.first() else {
            if extent != Extent::Whole {
                return None;
            }
            return Some(accept(records, &some, at, units, skipped));
        };
        if record.is_comment() {
            if record.cells.len() > 1 && record.cells.len() == next.cells.len() && !next.is_headerlike() {
                return Some(Place { header: at, commented: true, units: None, skipped });
            }
            skipped.push((at, Skipped::Comment));
            continue;
        }
        if record.is_units() && next.is_headerlike() && !next.is_units() {
            units = Some(at);
            continue;
        }
        if skip(record, &below) {
            skipped.push((at, if record.filled() > 1 { Skipped::Groups } else { Skipped::Title }));
            continue;
        }
        let doubtful = record.cells.len() == 1 && !names_formulas(record.first()) && !is_formula(next.first());
        if extent == Extent::FirstLines && doubtful && below.len() < SINGLE_CELLS {
            return None;
        }
        // A row of values is needed as well.
        if extent != Extent::Whole && next.is_units() && below.len() < 2 {
            return None;
        }
        return Some(accept(records, &some, at, units, skipped));
    }
    let first = *some.first()?;
    (extent == Extent::Whole).then(|| accept(records, &some, first, None, Vec::new()))
}

/// Whether a record is a title or similar above the header.
fn skip(record: &Record, below: &[&Record]) -> bool {
    // The upper quartile of the widths below: a few rows may be too long.
    let wide = |width: fn(&Record) -> usize| {
        let mut widths: Vec<usize> = below.iter().map(|record| width(record)).collect();
        widths.sort_unstable();
        widths.get(widths.len() * 3 / 4).copied().unwrap_or_default()
    };
    if record.cells.len() == 1
        && below.iter().take(5).any(|record| record.cells.len() == 1 && names_formulas(record.first()))
    {
        return !names_formulas(record.first());
    }
    let sparse = record.filled() * 2 <= wide(Record::filled);
    sparse && !record.is_known() && (record.cells.len() < wide(|record| record.cells.len()) || record.has_gaps())
}

/// Takes a record as the header. If titles were skipped but this record looks like values, takes the first record
/// instead.
fn accept(
    records: &[Record],
    some: &[usize],
    at: usize,
    units: Option<usize>,
    skipped: Vec<(usize, Skipped)>,
) -> Place {
    let titles = skipped.iter().any(|(_, why)| *why != Skipped::Comment);
    let comment = |at: &usize| skipped.iter().any(|(of, why)| of == at && *why == Skipped::Comment);
    let (at, skipped) = match some.iter().copied().find(|at| !comment(at)) {
        Some(first) if titles && !records[at].is_headerlike() => {
            (first, skipped.into_iter().filter(|(of, why)| *of < first && *why == Skipped::Comment).collect())
        }
        _ => (at, skipped),
    };
    let below = some.iter().copied().find(|of| *of > at);
    let units = units.filter(|above| *above < at).or_else(|| below.filter(|of| records[*of].is_units()));
    Place { header: at, commented: false, units, skipped }
}
