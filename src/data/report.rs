//! `report.json`: whether a freshly trained version deserves to replace the one in use.
//!
//! A file format that servers and people read. Every figure in it is out of fold: of rows that the answering model had not
//! been trained on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::folds::Protocol;
use crate::model::{Evaluation, Manifest, Spread};

/// Version of the file format.
pub const REPORT_FORMAT: u32 = 1;

/// By target or class (and `all` for the whole), then by metric: mean and spread over the folds.
pub type FoldScores = BTreeMap<String, BTreeMap<String, Spread>>;

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_FORMAT`] of the writer.
    pub format: u32,
    /// The version that it judges: the candidate.
    pub model: VersionName,
    /// What it was measured on, and then trained on.
    pub data: ReportData,
    /// Folds of each protocol; every row is a test row once.
    pub folds: usize,
    /// Seed of folds and trainings.
    pub seed: u64,
    /// Scores under each protocol that the data allows.
    pub protocols: Vec<ProtocolReport>,
    /// The candidate against the version in use.
    pub comparison: Comparison,
    /// What to mind, in plain words: of the data first.
    pub warnings: Vec<String>,
    /// What was taken for granted, filled in or left out when the data was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The answers that the scores come from.
    pub predictions: Predictions,
}

/// What a recipe was measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// Name of the file, without its folder.
    pub file: String,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Its rows.
    pub rows: usize,
    /// Groups among them.
    pub groups: usize,
}

/// Scores under one protocol, all on the same folds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProtocolReport {
    /// How test rows were chosen.
    pub protocol: Protocol,
    /// The recipe's.
    pub candidate: FoldScores,
    /// Ridge regression's (on one-hot classes, for a classification).
    pub ridge: FoldScores,
    /// A random forest's.
    pub random_forest: FoldScores,
    /// Those of the version in use, unless it may not be scored on all rows: it cannot read some, or is known
    /// to have been trained on some. The comparison then tells what can be told.
    pub active: Option<FoldScores>,
}

/// Answers for each row of the data, in its order; those of each protocol from when the row was a test row,
/// to six digits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predictions {
    /// Names of the columns below: the targets, or the classes.
    pub outputs: Vec<String>,
    /// What was measured.
    pub actual: Actual,
    /// The candidate's answers on random folds: targets in their units, or class probabilities.
    pub random: Option<Vec<Vec<f64>>>,
    /// The candidate's answers on grouped folds.
    pub grouped: Option<Vec<Vec<f64>>>,
}

/// What was measured on each row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actual {
    /// The targets in their units; `null` where one was not measured.
    Values(Vec<Vec<Option<f64>>>),
    /// Index of the class.
    Classes(Vec<usize>),
}

/// What a comparison rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonBasis {
    /// Rows that neither had been trained on when it answered.
    UnseenRows,
    /// All rows that both can read; the version in use may have been trained on some of them.
    SameRows,
    /// The score that the version in use recorded when it was trained, against the candidate's.
    RecordedScores,
    /// Nothing: there is no comparison.
    None,
}

/// Whether a candidate answers better or worse than the version in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The version in use; `null` where there is none, or it could not be loaded.
    pub active: Option<VersionName>,
    /// What the figures rest on.
    pub basis: ComparisonBasis,
    /// The folds that the candidate's answers come from.
    pub protocol: Protocol,
    /// Rows that both were scored on; 0 for the bases `recorded_scores` and `none`.
    pub rows: usize,
    /// `r2` (mean over the targets) or `macro_f1`; the larger the better.
    pub metric: String,
    /// The candidate's figure.
    pub candidate_score: Option<f64>,
    /// The figure of the version in use.
    pub active_score: Option<f64>,
    /// The same by target (`r2`) or class (`f1`): the candidate's, then that of the version in use.
    pub by_output: BTreeMap<String, (f64, f64)>,
    /// Whether the candidate's figure is below that of the version in use.
    pub worse: bool,
    /// How to read it, in plain words.
    pub note: String,
}

/// Names a version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionName {
    /// The model.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl VersionName {
    /// The version that a manifest describes.
    pub fn of(manifest: &Manifest) -> Self {
        Self { name: manifest.name.clone(), version: manifest.version.clone() }
    }
}

impl Report {
    /// The candidate's scores, as a manifest records them.
    pub fn evaluations(&self) -> Vec<Evaluation> {
        let evaluation = |report: &ProtocolReport| Evaluation {
            protocol: report.protocol.name().to_owned(),
            splits: self.folds,
            scores: report.candidate.clone(),
        };
        self.protocols.iter().map(evaluation).collect()
    }
}
