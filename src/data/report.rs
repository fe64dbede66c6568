//! `report.json`: the evidence on whether a new version should replace the active one.
//!
//! Servers and people read this file. All figures are out of fold: the rows were predicted by models that were not
//! trained on them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::folds::Protocol;
use crate::model::{Evaluation, Manifest, Spread};

/// Version of the file format.
pub const REPORT_FORMAT: u32 = 1;
/// Largest number of lines that a message names.
const NAMED_LINES: usize = 10;

/// By target or class (`all` for the whole), then by metric: mean and spread over the folds.
pub type FoldScores = BTreeMap<String, BTreeMap<String, Spread>>;

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_FORMAT`] of the writer.
    pub format: u32,
    /// The evaluated version, the candidate.
    pub model: VersionName,
    /// The data used for the scores and then for training.
    pub data: ReportData,
    /// Number of folds of each protocol; every row is a test row once.
    pub folds: usize,
    /// Seed of folds and trainings.
    pub seed: u64,
    /// Scores under each protocol that is possible with the data.
    pub protocols: Vec<ProtocolReport>,
    /// Comparison of the candidate with the active version.
    pub comparison: Comparison,
    /// Warnings as text, those about the data first.
    pub warnings: Vec<String>,
    /// What was assumed, filled in or left out when the data was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Rows that look wrong.
    #[serde(default, skip_serializing_if = "Doubts::is_empty")]
    pub doubts: Doubts,
    /// The predictions behind the scores.
    pub predictions: Predictions,
}

/// Rows of the training data that look wrong, by their lines in the file. The candidate learned from them, but it is not
/// compared on those that nobody confirmed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubts {
    /// Doubted lines that nobody confirmed.
    pub lines: Vec<u64>,
    /// Doubted lines that somebody confirmed to be right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confirmed: Vec<u64>,
}

/// Lines that were confirmed, but are not doubted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", in_words(.0))]
pub struct NotDoubted(pub Vec<u64>);

impl Doubts {
    /// Splits the doubted lines into confirmed and other ones.
    ///
    /// # Errors
    /// [`NotDoubted`] names confirmed lines that are not doubted.
    pub fn new(doubted: &[u64], confirm: &[u64]) -> Result<Self, NotDoubted> {
        Self { lines: doubted.to_vec(), confirmed: Vec::new() }.confirm(confirm)
    }

    /// Confirms lines. Lines that are confirmed already may be named again.
    ///
    /// # Errors
    /// [`NotDoubted`]
    pub fn confirm(mut self, confirm: &[u64]) -> Result<Self, NotDoubted> {
        let confirm: BTreeSet<u64> = confirm.iter().copied().collect();
        let doubted: BTreeSet<u64> = self.lines.iter().chain(&self.confirmed).copied().collect();
        let others: Vec<u64> = confirm.difference(&doubted).copied().collect();
        if !others.is_empty() {
            return Err(NotDoubted(others));
        }
        self.lines.retain(|line| !confirm.contains(line));
        let confirmed: BTreeSet<u64> = self.confirmed.drain(..).chain(confirm).collect();
        self.confirmed = confirmed.into_iter().collect();
        Ok(self)
    }

    /// Whether no row looks wrong.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.confirmed.is_empty()
    }

    /// What speaks against a candidate that learned from doubted rows; `None` if all of them were confirmed.
    pub fn objection(&self) -> Option<String> {
        let what = match self.lines.len() {
            0 => return None,
            1 => "1 row that looks wrong".to_owned(),
            count => format!("{count} rows that look wrong"),
        };
        Some(format!("it learned from {what} ({}): correct, remove or confirm them", named_lines(&self.lines)))
    }
}

/// Lines of a file in words, at most ten of them.
fn named_lines(lines: &[u64]) -> String {
    let first: Vec<String> = lines.iter().take(NAMED_LINES).map(u64::to_string).collect();
    let more = if lines.len() > NAMED_LINES { " …" } else { "" };
    format!("{} {}{more}", if lines.len() == 1 { "line" } else { "lines" }, first.join(", "))
}

fn in_words(lines: &[u64]) -> String {
    let verb = if lines.len() == 1 { "is" } else { "are" };
    format!("{} {verb} not among the doubted ones, so there is nothing to confirm", named_lines(lines))
}

/// The data of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// Name of the file, without its folder.
    pub file: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Number of rows.
    pub rows: usize,
    /// Number of groups.
    pub groups: usize,
}

/// Scores under one protocol, all on the same folds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProtocolReport {
    /// How test rows were chosen.
    pub protocol: Protocol,
    /// Scores of the recipe.
    pub candidate: FoldScores,
    /// Scores of ridge regression (for a classification, on one-hot classes).
    pub ridge: FoldScores,
    /// Scores of a random forest.
    pub random_forest: FoldScores,
    /// Scores of the active version. `None` if it cannot be scored on all rows, because it cannot read some or was
    /// trained on some. The comparison then uses another basis.
    pub active: Option<FoldScores>,
}

/// Predictions for each row of the data, in the order of the data, rounded to six significant digits. Under each
/// protocol a row is predicted when it is a test row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predictions {
    /// Names of the columns below: the targets or the classes.
    pub outputs: Vec<String>,
    /// The measured values.
    pub actual: Actual,
    /// The candidate's predictions on random folds: targets in their units, or class probabilities.
    pub random: Option<Vec<Vec<f64>>>,
    /// The candidate's predictions on grouped folds.
    pub grouped: Option<Vec<Vec<f64>>>,
}

/// The measured values of each row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actual {
    /// The targets in their units; `null` if not measured.
    Values(Vec<Vec<Option<f64>>>),
    /// Index of the class.
    Classes(Vec<usize>),
}

/// The basis of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonBasis {
    /// Rows that neither version was trained on when predicting them.
    UnseenRows,
    /// All rows that both can read; the active version may have been trained on some of them.
    SameRows,
    /// The score recorded when the active version was trained, against the candidate's.
    RecordedScores,
    /// No comparison.
    None,
}

/// Whether a candidate is better or worse than the active version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The active version; `null` if there is none or it could not be loaded.
    pub active: Option<VersionName>,
    /// The basis of the scores.
    pub basis: ComparisonBasis,
    /// The folds of the candidate's predictions.
    pub protocol: Protocol,
    /// Number of rows on which both were scored; 0 for the bases `recorded_scores` and `none`.
    pub rows: usize,
    /// `r2` (mean over the targets) or `macro_f1`; larger is better.
    pub metric: String,
    /// The candidate's score.
    pub candidate_score: Option<f64>,
    /// The active version's score.
    pub active_score: Option<f64>,
    /// Scores by target (`r2`) or class (`f1`): the candidate's, then the active version's.
    pub by_output: BTreeMap<String, (f64, f64)>,
    /// Whether the candidate's score is below the active version's.
    pub worse: bool,
    /// How to read the comparison, as text.
    pub note: String,
}

/// The name of a version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionName {
    /// Name of the model.
    pub name: String,
    /// Name of its version.
    pub version: String,
}

impl VersionName {
    /// The version that a manifest describes.
    pub fn of(manifest: &Manifest) -> Self {
        Self { name: manifest.name.clone(), version: manifest.version.clone() }
    }
}

impl Report {
    /// The candidate's scores in the form of a manifest.
    pub fn evaluations(&self) -> Vec<Evaluation> {
        let evaluation = |report: &ProtocolReport| Evaluation {
            protocol: report.protocol.name().to_owned(),
            splits: self.folds,
            scores: report.candidate.clone(),
        };
        self.protocols.iter().map(evaluation).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubts_end_line_by_line() {
        let doubts = Doubts::new(&[3, 7, 9], &[7]).unwrap();
        assert_eq!(doubts, Doubts { lines: vec![3, 9], confirmed: vec![7] });
        let objection = doubts.objection().unwrap();
        assert_eq!(objection, "it learned from 2 rows that look wrong (lines 3, 9): correct, remove or confirm them");
        let unknown = doubts.clone().confirm(&[9, 4, 5]).unwrap_err();
        assert_eq!(unknown, NotDoubted(vec![4, 5]));
        assert!(unknown.to_string().starts_with("lines 4, 5 are not among the doubted ones"), "{unknown}");
        let none = doubts.confirm(&[9, 3, 7]).unwrap();
        assert_eq!((none.objection(), none.confirmed), (None, vec![3, 7, 9]));
        let many: Vec<u64> = (2..60).collect();
        assert!(Doubts::new(&many, &[]).unwrap().objection().unwrap().contains("58 rows that look wrong (lines 2, 3"));
        assert_eq!(Doubts::new(&[], &[]), Ok(Doubts::default()));
    }
}
