//! Notes and warnings about data that was read: what was assumed, what was left out, what may be wrong. The same text
//! appears on the terminal, in a job's record and in a report.

use std::collections::BTreeMap;

use crate::domain::{RawValue, Sample};

/// With fewer groups than this, grouped scores and intervals are largely random.
pub const HARDLY_ANY_GROUPS: usize = 5;
/// Largest number of lines named in a warning.
const NAMED_LINES: usize = 10;

/// Texts for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataSummary {
    /// What may be wrong with the data.
    pub warnings: Vec<String>,
    /// What was assumed, filled in or left out, with counts.
    pub notes: Vec<String>,
}

impl DataSummary {
    /// Adds a note that `cells` of the `rows` cells in a column are empty, and how they were read.
    pub(in crate::data) fn empty_cells(&mut self, column: &str, cells: usize, rows: usize, taken: &str) {
        match cells {
            0 => {}
            _ if cells == rows => self.notes.push(format!("{column}: all {rows} cells are empty, {taken}")),
            1 => self.notes.push(format!("{column}: 1 of {rows} cells is empty, {taken}")),
            _ => self.notes.push(format!("{column}: {cells} of {rows} cells are empty, {taken}")),
        }
    }

    pub(in crate::data) fn filtered(&mut self, left: usize, rows: usize, column: &str, text: &str) {
        self.notes.push(format!("{left} of {rows} rows left out: {column} is not \"{text}\""));
    }

    pub(in crate::data) fn unread(&mut self, elements: &[&str], others: &[&str]) {
        if !elements.is_empty() {
            self.warnings.push(format!(
                "columns {} look like amounts of elements and are not among the recipe's: not read, as if there were none \
                 of them",
                elements.join(", ")
            ));
        }
        if !others.is_empty() {
            self.notes.push(format!("columns not read: {}", others.join(", ")));
        }
    }

    /// Adds a note on how often a parameter's default was used.
    pub(in crate::data) fn assumed(&mut self, column: &str, name: &str, unit: &str, median: bool, samples: &[Sample]) {
        let taken: Vec<&RawValue> = samples
            .iter()
            .filter_map(|sample| sample.assumed().iter().find(|(assumed, _)| assumed == name).map(|(_, value)| value))
            .collect();
        let Some(first) = taken.first() else { return };
        let value = match first {
            RawValue::Number(number) => format!("{number} {unit}").trim_end().to_owned(),
            RawValue::Text(level) => level.clone(),
        };
        let what = if median { "the median of the others" } else { "the default" };
        self.empty_cells(column, taken.len(), samples.len(), &format!("taken as {what} ({value})"));
    }

    /// Adds warnings about samples, such as unusual sums of amounts, with lines.
    pub(in crate::data) fn oddities(&mut self, samples: &[Sample], lines: &[u64]) {
        let mut kinds: BTreeMap<String, Vec<(u64, &str)>> = BTreeMap::new();
        for (sample, line) in samples.iter().zip(lines) {
            for warning in sample.warnings() {
                // Warnings that differ only in numbers or in the alloy are the same warning.
                let why = warning.strip_prefix("read as ").and_then(|read| read.split_once(": "));
                let words = why.map_or(warning.as_str(), |(_, why)| why);
                let kind = words.chars().filter(|c| !c.is_ascii_digit()).collect();
                kinds.entry(kind).or_default().push((*line, warning.as_str()));
            }
        }
        let mut kinds: Vec<_> = kinds.into_values().collect();
        kinds.sort_by_key(|rows| rows.first().map(|(line, _)| *line));
        for rows in kinds {
            let Some((line, first)) = rows.first() else { continue };
            let others: Vec<String> = rows.iter().skip(1).take(NAMED_LINES).map(|(line, _)| line.to_string()).collect();
            let more = if rows.len() > NAMED_LINES + 1 { " …" } else { "" };
            self.warnings.push(match others.len() {
                0 => format!("line {line}: {first}"),
                _ => format!(
                    "line {line}: {first}; likewise {} more (lines {}{more})",
                    rows.len() - 1,
                    others.join(", ")
                ),
            });
        }
    }
}
