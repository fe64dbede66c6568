//! Scores of a recipe over splits: train on each split's training rows, predict its test rows.
//!
//! Its own because measuring is not training: it uses [`super::fit()`] and the bundle that serves, nothing
//! else, so that what is measured is what will answer.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::calibrate::expected_calibration_error;
use super::dataset::{Dataset, Outcome};
use super::fit::{FitError, FitOptions, Observer, fit};
use super::metrics::{Scores, classification_scores, regression_scores, spearman};
use super::parallel::run_all;
use super::plots::LossCurves;
use super::recipe::Recipe;
use super::split::Split;
use crate::domain::Sample;
use crate::featurize::{ColumnStatistics, Features, StandardScaler, featurize};
use crate::model::{Bundle, BundleError, DEFAULT_CONFIDENCE, Verdict};

/// What one split gave.
#[derive(Clone, Debug, Serialize)]
pub struct SplitReport {
    /// Scores on its test rows.
    pub scores: Scores,
    /// Its test rows, counted from 0.
    pub rows: Vec<usize>,
    /// What the model answered for them: targets in their units, or class probabilities.
    pub predicted: Vec<Vec<f64>>,
    /// What was measured on them: targets in their units, or the index of the class.
    pub actual: Vec<Vec<f64>>,
    /// Ends of the 90 % intervals, where the model is calibrated.
    pub lower: Vec<Vec<f64>>,
    /// Likewise.
    pub upper: Vec<Vec<f64>>,
    /// Half widths of the 90 % intervals of each target, where the model is calibrated.
    pub half_widths: Vec<f64>,
    /// Where answers depend on the batch: by output, the mean change of an answer when its row is asked alone.
    pub batch_effect: Vec<f64>,
    /// By family of the committee, what its members alone would have answered.
    pub families: Vec<Vec<Vec<f64>>>,
    /// How new each row was to the model, where it can tell.
    pub novelty: Option<Vec<f64>>,
    /// How far the families were apart on each row.
    pub disagreement: Vec<f64>,
    /// Steps and losses of each network's training.
    #[serde(skip)]
    pub losses: Vec<Vec<(usize, f64)>>,
}

/// Trains and scores on every split, `options.threads` splits at a time. The observer sees every step of
/// every split's members.
///
/// # Errors
/// The first failure of a training.
pub fn evaluate(
    recipe: &Recipe,
    data: &Dataset,
    splits: &[Split],
    options: &FitOptions,
    observe: Observer,
) -> Result<Vec<SplitReport>, FitError> {
    run_all(splits.len(), options.threads, |index, stop| {
        let observe = |progress| if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { observe(progress) };
        evaluate_split(recipe, data, &splits[index], options, index, &observe)
    })
}

fn evaluate_split(
    recipe: &Recipe,
    data: &Dataset,
    split: &Split,
    options: &FitOptions,
    index: usize,
    observe: Observer,
) -> Result<SplitReport, FitError> {
    // Every split has seeds of its own, so that the spread covers the luck of the start too.
    let options = FitOptions { seed: options.seed.wrapping_add(index as u64), threads: 1, ..options.clone() };
    let losses = LossCurves::default();
    let recorded = |progress| {
        losses.record(progress);
        observe(progress)
    };
    let trained = fit(recipe, data, &split.train, &options, &recorded)?;
    let bundle = trained.load(&options.device)?;
    let verdicts = ask(&bundle, split.test.iter().map(|row| &data.samples[*row]), Bundle::verdicts)?;
    let of_family =
        |family: usize| verdicts.iter().map(|verdict| bundle.in_units(verdict.families[family].clone())).collect();
    let predicted: Vec<Vec<f64>> = verdicts.iter().map(|verdict| bundle.in_units(verdict.mixed.clone())).collect();
    let calibration = bundle.manifest().calibration.as_ref();
    let half_widths =
        (0..recipe.targets.len()).filter_map(|target| calibration?.half_width(target, DEFAULT_CONFIDENCE));
    let half_widths: Vec<f64> = half_widths.collect();
    let actual: Vec<Vec<f64>> = split.test.iter().map(|row| measured(&data.outcomes[*row])).collect();
    let mut scores = score(recipe, data, &split.test, &predicted);
    score_trust(recipe, &mut scores, &actual, &predicted, &half_widths);
    let novelty: Option<Vec<f64>> = verdicts.iter().map(|verdict| verdict.novelty).collect();
    let disagreement: Vec<f64> = verdicts.iter().map(Verdict::disagreement).collect();
    let errors = row_errors(recipe, &actual, &predicted);
    let all = scores.entry("all".to_owned()).or_default();
    all.extend(novelty.as_ref().map(|novelty| ("novelty_ranks_errors".to_owned(), spearman(novelty, &errors))));
    if bundle.manifest().families.len() > 1 {
        all.insert("disagreement_ranks_errors".to_owned(), spearman(&disagreement, &errors));
    }
    let end = |sign: f64| {
        let rows = predicted.iter().filter(|_| !half_widths.is_empty());
        rows.map(|row| row.iter().zip(&half_widths).map(|(value, half)| value + sign * half).collect()).collect()
    };
    Ok(SplitReport {
        scores,
        rows: split.test.clone(),
        lower: end(-1.0),
        upper: end(1.0),
        batch_effect: batch_effect(&bundle, split.test.iter().map(|row| &data.samples[*row]), &predicted)?,
        half_widths,
        actual,
        families: (0..bundle.manifest().families.len()).map(of_family).collect(),
        novelty,
        disagreement,
        losses: losses.curves(),
        predicted,
    })
}

fn measured(outcome: &Outcome) -> Vec<f64> {
    match outcome {
        Outcome::Values(values) => values.clone(),
        Outcome::Class(class) => vec![*class as f64],
    }
}

/// Adds how far the answers can be trusted: coverage and width of the 90 % intervals, or the calibration error.
fn score_trust(recipe: &Recipe, scores: &mut Scores, actual: &[Vec<f64>], predicted: &[Vec<f64>], half_widths: &[f64]) {
    if recipe.class.is_some() {
        let rows: Vec<(usize, Vec<f64>)> =
            actual.iter().zip(predicted).map(|(actual, predicted)| (actual[0] as usize, predicted.clone())).collect();
        scores.entry("all".to_owned()).or_default().insert("ece".to_owned(), expected_calibration_error(&rows));
    }
    for (target, half) in half_widths.iter().enumerate() {
        let within = |(actual, predicted): &(&Vec<f64>, &Vec<f64>)| (actual[target] - predicted[target]).abs() <= *half;
        let covered = actual.iter().zip(predicted).filter(within).count() as f64;
        let entry = scores.entry(recipe.targets[target].name.clone()).or_default();
        entry.insert("coverage_90".to_owned(), covered / actual.len().max(1) as f64);
        entry.insert("width_90".to_owned(), 2.0 * half);
    }
}

/// How wrong each answer is, in one number: the absolute error over the target's spread, averaged over the targets; or
/// one minus the probability of the class that was measured.
fn row_errors(recipe: &Recipe, actual: &[Vec<f64>], predicted: &[Vec<f64>]) -> Vec<f64> {
    if recipe.class.is_some() {
        return actual.iter().zip(predicted).map(|(actual, predicted)| 1.0 - predicted[actual[0] as usize]).collect();
    }
    let rows: Vec<&[f64]> = actual.iter().map(Vec::as_slice).collect();
    let targets = StandardScaler::fit(&ColumnStatistics::over(recipe.targets.len(), rows));
    let error = |(actual, predicted): (&Vec<f64>, &Vec<f64>)| {
        let errors = actual.iter().zip(predicted).zip(&targets.deviation);
        errors.map(|((actual, predicted), deviation)| (actual - predicted).abs() / deviation).sum::<f64>()
            / targets.deviation.len() as f64
    };
    actual.iter().zip(predicted).map(error).collect()
}

/// By output, the mean change of an answer when its row is asked alone; empty where no answer depends on its batch.
fn batch_effect<'a>(
    bundle: &Bundle,
    samples: impl Iterator<Item = &'a Sample>,
    together: &[Vec<f64>],
) -> Result<Vec<f64>, BundleError> {
    if !bundle.manifest().batch_dependent() {
        return Ok(Vec::new());
    }
    let mut changes = vec![0.0; together.first().map_or(0, Vec::len)];
    for (sample, together) in samples.zip(together) {
        for alone in predict_samples(bundle, std::iter::once(sample))? {
            changes.iter_mut().zip(alone.iter().zip(together)).for_each(|(sum, (a, b))| *sum += (a - b).abs());
        }
    }
    Ok(changes.into_iter().map(|sum| sum / together.len().max(1) as f64).collect())
}

/// What a bundle answers for samples that were parsed with its schema (or the blank one of its recipe).
pub(super) fn predict_samples<'a>(
    bundle: &Bundle,
    samples: impl Iterator<Item = &'a Sample>,
) -> Result<Vec<Vec<f64>>, BundleError> {
    Ok(ask(bundle, samples, Bundle::predict)?.into_iter().map(|predicted| predicted.values).collect())
}

/// Asks a bundle for many samples, some at a time.
pub(super) fn ask<'a, T>(
    bundle: &Bundle,
    samples: impl Iterator<Item = &'a Sample>,
    question: impl Fn(&Bundle, &[&Features]) -> Result<Vec<T>, BundleError>,
) -> Result<Vec<T>, BundleError> {
    let manifest = bundle.manifest();
    let features: Vec<Features> =
        samples.map(|sample| featurize(sample, &manifest.schema, &manifest.features)).collect();
    let mut answers = Vec::with_capacity(features.len());
    for chunk in features.chunks(256) {
        answers.extend(question(bundle, &chunk.iter().collect::<Vec<_>>())?);
    }
    Ok(answers)
}

/// Scores of answers for some rows, whoever gave them.
pub(super) fn score(recipe: &Recipe, data: &Dataset, rows: &[usize], predicted: &[Vec<f64>]) -> Scores {
    let Some(class) = &recipe.class else {
        let names: Vec<&str> = recipe.targets.iter().map(|target| target.name.as_str()).collect();
        let actual = rows.iter().filter_map(|row| match &data.outcomes[*row] {
            Outcome::Values(values) => Some(values.clone()),
            Outcome::Class(_) => None,
        });
        return regression_scores(&names, &actual.collect::<Vec<_>>(), predicted);
    };
    let index = |row: &usize| match data.outcomes[*row] {
        Outcome::Class(class) => class,
        Outcome::Values(_) => 0,
    };
    let actual: Vec<usize> = rows.iter().map(index).collect();
    let mut scores = classification_scores(&class.levels, &actual, predicted);
    if let Some(most) = class.score_up_to_elements {
        let few = |row: &usize| data.samples[*row].composition().amounts().len() <= most;
        let kept: Vec<usize> = (0..rows.len()).filter(|index| few(&rows[*index])).collect();
        let actual: Vec<usize> = kept.iter().map(|index| actual[*index]).collect();
        let predicted: Vec<Vec<f64>> = kept.iter().map(|index| predicted[*index].clone()).collect();
        let mut part = classification_scores(&class.levels, &actual, &predicted);
        scores.insert(format!("all_up_to_{most}_elements"), part.remove("all").unwrap_or_default());
    }
    scores
}
