//! Scores of a recipe over splits: train on each split's training rows, predict its test rows.
//!
//! Its own because measuring is not training: it uses [`super::fit()`] and the bundle that serves, nothing
//! else, so that what is measured is what will answer.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::dataset::{Dataset, Outcome};
use super::fit::{FitError, FitOptions, Observer, fit};
use super::metrics::{Scores, classification_scores, regression_scores};
use super::parallel::run_all;
use super::recipe::Recipe;
use super::split::Split;
use crate::domain::Sample;
use crate::featurize::{Features, featurize};
use crate::model::{Bundle, BundleError};

/// What one split gave.
#[derive(Clone, Debug, Serialize)]
pub struct SplitReport {
    /// Scores on its test rows.
    pub scores: Scores,
    /// Its test rows, counted from 0.
    pub rows: Vec<usize>,
    /// What the model answered for them: targets in their units, or class probabilities.
    pub predicted: Vec<Vec<f64>>,
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
    let trained = fit(recipe, data, &split.train, &options, observe)?;
    let manifest = serde_json::to_vec(&trained.manifest).map_err(candle_core::Error::wrap)?;
    let bundle = Bundle::load(&manifest, &trained.weights, &options.device)?;
    let predicted = predict_samples(&bundle, split.test.iter().map(|row| &data.samples[*row]))?;
    Ok(SplitReport { scores: score(recipe, data, &split.test, &predicted), rows: split.test.clone(), predicted })
}

/// What a bundle answers for samples that were parsed with its schema (or the blank one of its recipe).
pub(super) fn predict_samples<'a>(
    bundle: &Bundle,
    samples: impl Iterator<Item = &'a Sample>,
) -> Result<Vec<Vec<f64>>, BundleError> {
    let manifest = bundle.manifest();
    let features: Vec<Features> =
        samples.map(|sample| featurize(sample, &manifest.schema, &manifest.features)).collect();
    let mut predicted = Vec::with_capacity(features.len());
    for chunk in features.chunks(256) {
        predicted.extend(bundle.predict(&chunk.iter().collect::<Vec<_>>())?);
    }
    Ok(predicted)
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
