//! Cross-validation of a recipe under one protocol, beside the baselines on the very same folds.
//!
//! Its own because it joins what is else apart: folds, the candidate's trainings, and the simple methods.

use crate::data::{Dataset, Protocol, Recipe, Split, draw_folds};
use crate::train::error::FitError;
use crate::train::evaluation::baselines::baselines;
use crate::train::evaluation::evaluate::{evaluate, score};
use crate::train::metrics::Scores;
use crate::train::parallel::run_all;
use crate::train::progress::Observer;
use crate::train::trained::FitOptions;

/// What one method answered: each row when it was a test row.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Scores on the test rows of each fold.
    pub scores: Vec<Scores>,
    /// By row of the data: targets in their units, or class probabilities.
    pub predicted: Vec<Vec<f64>>,
}

/// Cross-validation under one protocol.
#[derive(Clone, Debug)]
pub struct CrossValidation {
    /// How the folds were drawn.
    pub protocol: Protocol,
    /// The folds.
    pub splits: Vec<Split>,
    /// The recipe that was measured.
    pub candidate: Contender,
    /// Ridge regression.
    pub ridge: Contender,
    /// A random forest.
    pub random_forest: Contender,
}

/// Measures a recipe over folds, `options.threads` of them at a time. The observer sees every step of every
/// training; `stopped` is asked while the baselines are fitted. `None` where the protocol is impossible:
/// fewer groups than folds.
///
/// # Errors
/// The first failure of a training or of a baseline, or [`FitError::Cancelled`].
pub fn cross_validate(
    recipe: &Recipe,
    data: &Dataset,
    protocol: Protocol,
    folds: usize,
    options: &FitOptions,
    observe: Observer,
    stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Option<CrossValidation>, FitError> {
    let Some(splits) = draw_folds(&data.groups, protocol, folds, options.seed) else { return Ok(None) };
    let reports = evaluate(recipe, data, &splits, options, observe)?;
    let simple = run_all(splits.len(), options.threads, |index, _| {
        baselines(recipe, data, &splits[index], options.seed.wrapping_add(index as u64), stopped)
    })?;
    let contender = |answers: Vec<Vec<Vec<f64>>>| Contender::gather(recipe, data, &splits, answers);
    let (ridge, random_forest) = simple.into_iter().map(|answers| (answers.ridge, answers.random_forest)).unzip();
    Ok(Some(CrossValidation {
        protocol,
        candidate: contender(reports.into_iter().map(|report| report.predicted).collect()),
        ridge: contender(ridge),
        random_forest: contender(random_forest),
        splits,
    }))
}

impl Contender {
    /// From the answers for the test rows of each fold.
    fn gather(recipe: &Recipe, data: &Dataset, splits: &[Split], answers: Vec<Vec<Vec<f64>>>) -> Self {
        let scores =
            splits.iter().zip(&answers).map(|(split, answers)| score(recipe, data, &split.test, answers)).collect();
        let mut predicted = vec![Vec::new(); data.samples.len()];
        for (split, answers) in splits.iter().zip(answers) {
            split.test.iter().zip(answers).for_each(|(row, answer)| predicted[*row] = answer);
        }
        Self { scores, predicted }
    }
}
