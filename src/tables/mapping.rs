//! Column mappings given by the user, and counts of choices made while reading cells.

use std::collections::BTreeMap;

/// Column mappings given by the user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping {
    /// Column of the file → element symbol, process parameter, `formula`, or `other` (`--map "AlT=Al"`).
    pub columns: Vec<(String, String)>,
    /// Field → one value for all rows (`--set test_temperature=25`).
    pub values: Vec<(String, String)>,
}

impl Mapping {
    /// Reads one pair: `AlT=Al`, or `AlT:Al` as in a query.
    ///
    /// # Errors
    /// A message if one side is missing.
    pub fn pair(text: &str) -> Result<(String, String), String> {
        let sides = text.rsplit_once('=').or_else(|| text.rsplit_once(':'));
        let trimmed = sides.map(|(from, to)| (from.trim().to_owned(), to.trim().to_owned()));
        let whole = trimmed.filter(|(from, to)| !from.is_empty() && !to.is_empty());
        whole.ok_or_else(|| format!("\"{text}\" is no pair: write COLUMN=FIELD, such as \"AlT=Al\""))
    }

    /// The field that the user assigned to a column.
    pub(super) fn of(&self, column: &str) -> Option<&str> {
        self.columns.iter().find(|(from, _)| from == column).map(|(_, to)| to.as_str())
    }
}

/// Largest number of different choices to keep.
const MOST_CHOICES: usize = 200;

/// Choices made while reading cells, each with a count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally(BTreeMap<String, usize>);

impl Tally {
    /// Counts a choice.
    pub fn count(&mut self, choice: String) {
        if self.0.len() < MOST_CHOICES || self.0.contains_key(&choice) {
            *self.0.entry(choice).or_default() += 1;
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the counts of another tally.
    pub fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(choice, count)| *self.0.entry(choice).or_default() += count);
    }

    /// The choices, without counts.
    pub fn choices(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// The choices as notes, with counts.
    pub fn notes(&self) -> Vec<String> {
        let note = |(choice, count): (&String, &usize)| match count {
            1 => format!("{choice} (1 cell)"),
            count => format!("{choice} ({count} cells)"),
        };
        self.0.iter().map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_have_two_sides() {
        let pair = |from: &str, to: &str| Ok((from.to_owned(), to.to_owned()));
        assert_eq!(Mapping::pair("AlT=Al"), pair("AlT", "Al"));
        assert_eq!(Mapping::pair("Nb + Ta : other"), pair("Nb + Ta", "other"));
        assert_eq!(Mapping::pair("a:b=c"), pair("a:b", "c"));
        for text in ["AlT", "=Al", "AlT="] {
            assert!(Mapping::pair(text).is_err(), "{text}");
        }
    }

    #[test]
    fn choices_are_counted() {
        let mut tally = Tally::default();
        tally.count("S: half of the limit".to_owned());
        let mut other = tally.clone();
        other.count("Cu: \"-\"".to_owned());
        tally.merge(other);
        assert_eq!(tally.notes(), ["Cu: \"-\" (1 cell)", "S: half of the limit (2 cells)"]);
    }
}
