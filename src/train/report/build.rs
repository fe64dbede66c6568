//! Builds a report from the evaluation of a candidate, with warnings.

use crate::data::{
    Actual, Comparison, Dataset, Doubts, Label, Predictions, Protocol, ProtocolReport, REPORT_FORMAT, Recipe, Report,
    ReportData, VersionName,
};
use crate::model::Manifest;
use crate::train::evaluation::crossval::CrossValidation;
use crate::train::metrics::summarise;
use crate::train::report::compare::compare;
use crate::train::report::incumbent::Incumbent;
use crate::train::report::warnings::{data_warnings, score_warnings};

/// The active version in a comparison.
pub enum InUse {
    /// No version was named.
    Nothing,
    /// A version that cannot be compared: its name (if it could be loaded) and the reason.
    Unfit(Option<VersionName>, String),
    /// A version with predictions.
    Asked(Incumbent),
}

impl Report {
    /// Builds the report of a trained candidate from the cross-validations of its recipe. `validations` must not be
    /// empty. `doubts` are the rows of the data that look wrong.
    pub fn new(
        manifest: &Manifest,
        recipe: &Recipe,
        (data, doubts): (&Dataset, &Doubts),
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
        warnings.extend(doubts.objection());
        warnings.extend(score_warnings(recipe, &protocols));
        let comparison = comparison(recipe, (data, doubts), validations, in_use);
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
            doubts: doubts.clone(),
            predictions: Predictions {
                outputs: recipe.output_names(),
                actual: actual(recipe, data),
                random: answers(Protocol::Random),
                grouped: answers(Protocol::Grouped),
            },
        }
    }
}

fn comparison(
    recipe: &Recipe,
    (data, doubts): (&Dataset, &Doubts),
    validations: &[CrossValidation],
    in_use: &InUse,
) -> Comparison {
    let find = |protocol| validations.iter().find(|validation| validation.protocol == protocol);
    let validation = find(Protocol::Grouped).or(find(Protocol::Random));
    let protocol = validation.map_or(Protocol::Random, |validation| validation.protocol);
    match (in_use, validation) {
        (InUse::Asked(active), Some(validation)) => compare(recipe, data, validation, active, &doubts.lines),
        (InUse::Asked(active), None) => {
            Comparison::without(recipe, protocol, Some(active.version.clone()), "nothing was measured".to_owned())
        }
        (InUse::Unfit(version, why), _) => Comparison::without(recipe, protocol, version.clone(), why.clone()),
        (InUse::Nothing, _) => Comparison::without(recipe, protocol, None, "no version is in use".to_owned()),
    }
}

fn actual(recipe: &Recipe, data: &Dataset) -> Actual {
    let labels = data.labels.iter();
    match recipe.class {
        Some(_) => Actual::Classes(
            labels.filter_map(|label| if let Label::Class(class) = label { Some(*class) } else { None }).collect(),
        ),
        None => Actual::Values(
            labels
                .filter_map(|label| if let Label::Values(values) = label { Some(values.clone()) } else { None })
                .collect(),
        ),
    }
}

/// Rounds to six significant digits.
fn brief(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}
