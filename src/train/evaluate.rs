//! Scores of a recipe over splits: train on each split's training rows, predict its test rows.
//!
//! Its own because measuring is not training: it uses [`super::fit()`] and the bundle that serves, nothing
//! else, so that what is measured is what will answer.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::dataset::{Dataset, Outcome};
use super::fit::{FitError, FitOptions, fit};
use super::metrics::{Scores, classification_scores, regression_scores};
use super::parallel::run_all;
use super::recipe::Recipe;
use super::split::Split;
use crate::domain::Outputs;
use crate::featurize::{Features, featurize};
use crate::model::Bundle;

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

/// Trains and scores on every split, `options.threads` splits at a time. `done` hears of each split.
///
/// # Errors
/// The first failure of a training.
pub fn evaluate(
    recipe: &Recipe,
    data: &Dataset,
    splits: &[Split],
    options: &FitOptions,
    done: &(dyn Fn(usize) -> ControlFlow<()> + Sync),
) -> Result<Vec<SplitReport>, FitError> {
    run_all(splits.len(), options.threads, |index, stop| {
        let report = evaluate_split(recipe, data, &splits[index], options, index, stop)?;
        if done(index).is_break() { Err(FitError::Cancelled) } else { Ok(report) }
    })
}

fn evaluate_split(
    recipe: &Recipe,
    data: &Dataset,
    split: &Split,
    options: &FitOptions,
    index: usize,
    stop: &AtomicBool,
) -> Result<SplitReport, FitError> {
    // Every split has seeds of its own, so that the spread covers the luck of the start too.
    let options = FitOptions { seed: options.seed.wrapping_add(index as u64), threads: 1, ..options.clone() };
    let observe = |_| if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let trained = fit(recipe, data, &split.train, &options, &observe)?;
    let manifest = serde_json::to_vec(&trained.manifest).map_err(candle_core::Error::wrap)?;
    let bundle = Bundle::load(&manifest, &trained.weights, &options.device)?;
    let schema = &bundle.manifest().schema;
    let features: Vec<Features> =
        split.test.iter().map(|row| featurize(&data.samples[*row], schema, &recipe.features)).collect();
    let mut predicted = Vec::with_capacity(features.len());
    for chunk in features.chunks(256) {
        predicted.extend(bundle.predict(&chunk.iter().collect::<Vec<_>>())?);
    }
    let outcomes = || split.test.iter().map(|row| &data.outcomes[*row]);
    let scores = match &schema.outputs {
        Outputs::Regression { targets } => {
            let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
            let actual = outcomes().filter_map(|outcome| match outcome {
                Outcome::Values(values) => Some(values.clone()),
                Outcome::Class(_) => None,
            });
            regression_scores(&names, &actual.collect::<Vec<_>>(), &predicted)
        }
        Outputs::Classification { classes } => {
            let class = |outcome: &Outcome| match outcome {
                Outcome::Class(class) => *class,
                Outcome::Values(_) => 0,
            };
            let actual: Vec<usize> = outcomes().map(class).collect();
            let mut scores = classification_scores(classes, &actual, &predicted);
            if let Some(most) = recipe.class.as_ref().and_then(|class| class.score_up_to_elements) {
                let few = |row: &usize| data.samples[*row].composition().amounts().len() <= most;
                let kept: Vec<usize> = (0..split.test.len()).filter(|index| few(&split.test[*index])).collect();
                let actual: Vec<usize> = kept.iter().map(|index| actual[*index]).collect();
                let predicted: Vec<Vec<f64>> = kept.iter().map(|index| predicted[*index].clone()).collect();
                let mut part = classification_scores(classes, &actual, &predicted);
                scores.insert(format!("all_up_to_{most}_elements"), part.remove("all").unwrap_or_default());
            }
            scores
        }
    };
    Ok(SplitReport { scores, rows: split.test.clone(), predicted })
}
