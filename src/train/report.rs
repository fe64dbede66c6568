//! `report.json`: whether a freshly trained version deserves to replace the one in use.
//!
//! Its own because it is a file format that servers and people read, and because every figure in it is
//! out of fold: of rows that the answering model had not been trained on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::active::{Active, VersionName};
use super::compare::{Comparison, compare};
use super::crossval::CrossValidation;
use super::dataset::Dataset;
use super::folds::Protocol;
use super::metrics::summarise;
use super::outcomes::Outcome;
use super::recipe::Recipe;
use super::warnings::{data_warnings, score_warnings};
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

/// The version in use, as far as there is one that can be asked.
pub enum InUse {
    /// No version was named.
    Nothing,
    /// One that cannot be compared; which (where it could be loaded) and why.
    Unfit(Option<VersionName>, String),
    /// One that answered.
    Asked(Active),
}

impl Report {
    /// Judges a trained candidate by the cross-validations of its recipe. `validations` holds at least one.
    pub fn new(
        manifest: &Manifest,
        recipe: &Recipe,
        data: &Dataset,
        validations: &[CrossValidation],
        in_use: &InUse,
        seed: u64,
    ) -> Self {
        let active = if let InUse::Asked(active) = in_use { Some(active) } else { None };
        let protocol = |validation: &CrossValidation| ProtocolReport {
            protocol: validation.protocol,
            candidate: summarise(&validation.candidate.scores),
            ridge: summarise(&validation.ridge.scores),
            random_forest: summarise(&validation.random_forest.scores),
            active: active.and_then(|active| Some(summarise(&active.fold_scores(recipe, data, validation)?))),
        };
        let protocols: Vec<ProtocolReport> = validations.iter().map(protocol).collect();
        let folds = validations.first().map_or(0, |validation| validation.splits.len());
        let mut warnings = data.summary.warnings.clone();
        warnings.extend(data_warnings(recipe, data, folds));
        warnings.extend(score_warnings(recipe, &protocols));
        let comparison = comparison(recipe, data, validations, in_use);
        if let InUse::Unfit(_, why) = in_use {
            warnings.push(format!("the version in use can't be compared: {why}"));
        }
        if comparison.worse {
            let figure = |score: Option<f64>| score.map_or_else(String::new, |score| format!("{score:.3}"));
            let (own, other) = (figure(comparison.candidate_score), figure(comparison.active_score));
            warnings.push(format!("worse than the version in use: {} {own} against {other}", comparison.metric));
        }
        let answers = |protocol| {
            let found = validations.iter().find(|validation| validation.protocol == protocol);
            found.map(|found| {
                found.candidate.predicted.iter().map(|row| row.iter().copied().map(brief).collect()).collect()
            })
        };
        Self {
            format: REPORT_FORMAT,
            model: VersionName::of(manifest),
            data: ReportData {
                file: manifest.data.file.clone(),
                sha256: manifest.data.sha256.clone(),
                rows: manifest.data.rows,
                groups: manifest.data.groups,
            },
            folds,
            seed,
            protocols,
            comparison,
            warnings,
            notes: data.summary.notes.clone(),
            predictions: Predictions {
                outputs: super::compare::output_names(recipe),
                actual: actual(recipe, data),
                random: answers(Protocol::Random),
                grouped: answers(Protocol::Grouped),
            },
        }
    }

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

fn comparison(recipe: &Recipe, data: &Dataset, validations: &[CrossValidation], in_use: &InUse) -> Comparison {
    let find = |protocol| validations.iter().find(|validation| validation.protocol == protocol);
    let validation = find(Protocol::Grouped).or(find(Protocol::Random));
    let protocol = validation.map_or(Protocol::Random, |validation| validation.protocol);
    match (in_use, validation) {
        (InUse::Asked(active), Some(validation)) => compare(recipe, data, validation, active),
        (InUse::Asked(active), None) => {
            Comparison::without(recipe, protocol, Some(active.version.clone()), "nothing was measured".to_owned())
        }
        (InUse::Unfit(version, why), _) => Comparison::without(recipe, protocol, version.clone(), why.clone()),
        (InUse::Nothing, _) => Comparison::without(recipe, protocol, None, "no version is in use".to_owned()),
    }
}

fn actual(recipe: &Recipe, data: &Dataset) -> Actual {
    let outcomes = data.outcomes.iter();
    match recipe.class {
        Some(_) => Actual::Classes(
            outcomes
                .filter_map(|outcome| if let Outcome::Class(class) = outcome { Some(*class) } else { None })
                .collect(),
        ),
        None => Actual::Values(
            outcomes
                .filter_map(|outcome| if let Outcome::Values(values) = outcome { Some(values.clone()) } else { None })
                .collect(),
        ),
    }
}

/// Six significant digits.
fn brief(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}
