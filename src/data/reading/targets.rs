//! Reads the labels of rows. Cells of targets may be empty, contain words, or be censored by tests that were stopped
//! early.

use crate::data::label::Label;
use crate::data::reading::complaints::{BadCells, DataError};
use crate::data::reading::sheet::SheetRow;
use crate::data::recipe::Recipe;
use crate::data::source::{Censored, TargetRecipe};
use crate::domain::Scale;
use crate::tables::{Cell, Conversion};

/// Least number of rows on which a target must be measured.
const LEAST_MEASURED: usize = 10;

/// The content of a target cell.
enum TargetCell<'a> {
    Value(f64),
    Nothing,
    /// A word for "no value".
    Word(&'a str),
    Censored(&'a str),
    /// Not a number.
    Text(&'a str),
}

/// A column of labels.
#[derive(Clone, Debug)]
pub(in crate::data) struct TargetColumn {
    pub(in crate::data) at: usize,
    /// Its name in the file.
    pub(in crate::data) name: String,
    /// From the column's unit to the target's.
    pub(in crate::data) conversion: Conversion,
    /// The target's unit.
    pub(in crate::data) unit: String,
}

impl TargetColumn {
    fn said<'a>(&self, text: &'a str, decimal_comma: bool) -> TargetCell<'a> {
        match Cell::read(text, decimal_comma) {
            Cell::Number(value) | Cell::Marked(value, _) => TargetCell::Value(self.conversion.apply(value)),
            Cell::Quantity(value, unit) => match Conversion::between(unit, &self.unit) {
                Ok(conversion) => TargetCell::Value(conversion.apply(value)),
                Err(_) => TargetCell::Text(text),
            },
            Cell::NotMeasured if text.is_empty() => TargetCell::Nothing,
            Cell::NotMeasured => TargetCell::Word(text),
            Cell::Below(_) | Cell::Above(_) => TargetCell::Censored(text),
            Cell::Balance | Cell::Text(_) if is_censored(text) => TargetCell::Censored(text),
            Cell::Balance | Cell::Text(_) => TargetCell::Text(text),
        }
    }
}

/// A row with an invalid cell, which was already reported.
pub(in crate::data) struct Bad;

/// Reads the columns of labels and counts their contents.
pub(in crate::data) struct TargetReader<'a> {
    recipe: &'a Recipe,
    columns: Vec<TargetColumn>,
    decimal_comma: bool,
    counts: Vec<Count>,
    rows: usize,
}

#[derive(Default)]
struct Count {
    measured: usize,
    censored: Vec<String>,
    /// Words that were taken as "not measured", with their lines.
    words: Vec<(u64, String)>,
}

impl<'a> TargetReader<'a> {
    pub(in crate::data) fn new(recipe: &'a Recipe, columns: Vec<TargetColumn>, decimal_comma: bool) -> Self {
        let counts = columns.iter().map(|_| Count::default()).collect();
        Self { recipe, columns, decimal_comma, counts, rows: 0 }
    }

    /// The label of a row; `None` if nothing was measured. Unknown classes were already reported.
    ///
    /// # Errors
    /// [`Bad`] if a cell is invalid.
    pub(in crate::data) fn read(&mut self, row: &SheetRow, bad: &mut BadCells) -> Result<Option<Label>, Bad> {
        self.rows += 1;
        if let Some(class) = &self.recipe.class {
            let level = self.columns.first().map_or("", |column| row.cell(column.at));
            let known = class.levels.iter().position(|known| known == level);
            return if known.is_none() && !level.is_empty() { Err(Bad) } else { Ok(known.map(Label::Class)) };
        }
        let before = bad.total;
        let mut values = Vec::with_capacity(self.columns.len());
        for ((target, own), count) in self.recipe.targets.iter().zip(&self.columns).zip(&mut self.counts) {
            let column = &own.name;
            values.push(match own.said(row.cell(own.at), self.decimal_comma) {
                TargetCell::Value(value) if target.scale == Scale::Log && value <= 0.0 => {
                    bad.add(
                        row.line,
                        column,
                        format!("{value} has no logarithm: scale = \"log\" wants values above 0"),
                    );
                    None
                }
                TargetCell::Value(value) => Some(value),
                TargetCell::Nothing => None,
                TargetCell::Word(word) => {
                    count.words.push((row.line, word.to_owned()));
                    None
                }
                TargetCell::Censored(text) => {
                    count.read_censored(target, text, row.line, column, bad);
                    None
                }
                TargetCell::Text(text) => {
                    bad.add(row.line, column, Cell::complaint(text));
                    None
                }
            });
        }
        if bad.total > before {
            return Err(Bad);
        }
        values.iter().zip(&mut self.counts).for_each(|(value, count)| count.measured += usize::from(value.is_some()));
        Ok(values.iter().any(Option::is_some).then_some(Label::Values(values)))
    }

    /// Checks whether every target was measured often enough. If words replace too many numbers, they are reported.
    pub(in crate::data) fn check(&self, bad: &mut BadCells) -> Result<(), DataError> {
        let mut few = Vec::new();
        for ((target, own), count) in self.recipe.targets.iter().zip(&self.columns).zip(&self.counts) {
            let column = &own.name;
            if count.measured >= LEAST_MEASURED {
                continue;
            }
            if count.measured + count.words.len() >= LEAST_MEASURED {
                count.words.iter().for_each(|(line, word)| bad.add(*line, column, Cell::complaint(word)));
            }
            let (name, measured, rows) = (&target.name, count.measured, self.rows);
            few.push(format!(
                "{name} (column {column}) was measured on {measured} of {rows} rows: a target needs at least \
                 {LEAST_MEASURED}"
            ));
        }
        if bad.total > 0 || few.is_empty() { Ok(()) } else { Err(DataError::TooFew(few.join("; "))) }
    }

    /// Notes on what was left out.
    pub(in crate::data) fn notes(&self, kept: usize) -> Vec<String> {
        let mut notes = Vec::new();
        let (rows, left) = (self.rows, self.rows - kept);
        if left > 0 {
            let what =
                if self.recipe.class.is_some() { "they have no class" } else { "no target was measured on them" };
            notes.push(format!("{left} of {rows} rows left out: {what}"));
        }
        for (own, count) in self.columns.iter().zip(&self.counts).filter(|_| self.recipe.class.is_none()) {
            let column = &own.name;
            if count.measured < kept {
                let missing = kept - count.measured;
                let mut note = format!(
                    "{column}: not measured in {missing} of {kept} rows, learned from the other {}",
                    count.measured
                );
                if let Some((line, word)) = count.words.first() {
                    note += &format!("; \"{word}\" (line {line}) is taken as not measured");
                }
                notes.push(note);
            }
            if !count.censored.is_empty() {
                let texts: std::collections::BTreeSet<&str> = count.censored.iter().map(String::as_str).collect();
                let shown: Vec<String> = texts.iter().take(5).map(|text| format!("\"{text}\"")).collect();
                let more = if texts.len() > shown.len() { " …" } else { "" };
                notes.push(format!(
                    "{column}: {} censored values left out ({}{more})",
                    count.censored.len(),
                    shown.join(", ")
                ));
            }
        }
        notes
    }
}

impl Count {
    fn read_censored(&mut self, target: &TargetRecipe, text: &str, line: u64, column: &str, bad: &mut BadCells) {
        match target.censored {
            Some(Censored::Drop) => self.censored.push(text.to_owned()),
            None => bad.add(
                line,
                column,
                format!(
                    "{}; it looks censored: censored = \"drop\" in [[targets]] {} leaves such values out",
                    Cell::complaint(text),
                    target.name
                ),
            ),
        }
    }
}

/// Whether a text is a censored value: `>50`, `over 40`, `≤ 0.1`, or a test that was stopped before failure.
fn is_censored(text: &str) -> bool {
    const BOUNDS: [&str; 14] = [
        ">",
        "<",
        "≥",
        "≤",
        "over",
        "above",
        "below",
        "under",
        "more than",
        "less than",
        "at least",
        "up to",
        "min",
        "max",
    ];
    const ENDED: [&str; 8] =
        ["run-out", "runout", "run out", "unbroken", "not broken", "no failure", "did not fail", "dnf"];
    let text = text.to_lowercase();
    let bound = |bound: &&str| text.starts_with(*bound) && text.contains(|c: char| c.is_ascii_digit());
    let ends = |mark: char| text.strip_suffix(mark).is_some_and(|number| number.trim().parse::<f64>().is_ok());
    BOUNDS.iter().any(bound) || ENDED.iter().any(|word| text.contains(word)) || ends('+') || ends('→')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_targets() {
        let conversion = Conversion::between("ksi", "MPa").unwrap();
        let column = TargetColumn { at: 0, name: "YS (ksi)".into(), conversion, unit: "MPa".into() };
        let said = |text| column.said(text, false);
        for text in [">50", "over40", "over 40", "< 0.1", "≥ 1e7", "run-out", "1e7 (runout)", "DNF", "1e7+", "up to 3"]
        {
            assert!(matches!(said(text), TargetCell::Censored(_)), "{text}");
        }
        for text in ["-", "N/A", "NaN", "n.d."] {
            assert!(matches!(said(text), TargetCell::Word(_)), "{text}");
        }
        for text in ["inf", "hard", "3 or 4", "overheated", "35 HRC"] {
            assert!(matches!(said(text), TargetCell::Text(_)), "{text}");
        }
        assert!(matches!(said("1e2"), TargetCell::Value(value) if (value - 689.475_729).abs() < 1e-6));
        assert!(matches!(said("450 MPa"), TargetCell::Value(450.0)) && matches!(said(""), TargetCell::Nothing));
    }
}
