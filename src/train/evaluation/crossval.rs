//! Cross-validation of a recipe under one protocol, with the baselines on the same folds.

use crate::data::{Dataset, Protocol, Recipe, Split, draw_folds};
use crate::train::error::FitError;
use crate::train::evaluation::baselines::baselines;
use crate::train::evaluation::evaluate::{evaluate, score};
use crate::train::metrics::Scores;
use crate::train::parallel::run_all;
use crate::train::progress::Observer;
use crate::train::trained::FitOptions;

/// The predictions of one method: each row when it was a test row.
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
    /// The evaluated recipe.
    pub candidate: Contender,
    /// Ridge regression.
    pub ridge: Contender,
    /// A random forest.
    pub random_forest: Contender,
}

/// Evaluates a recipe on folds, `options.threads` of them at a time. The observer is called at every step of every
/// training; `stopped` is checked while the baselines are fitted. `None` if there are fewer groups than folds.
///
/// # Errors
/// The first failure of a training or a baseline, or [`FitError::Cancelled`].
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
    /// From the predictions for the test rows of each fold.
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
