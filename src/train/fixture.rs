//! A cross-validation for unit tests.

use std::collections::BTreeMap;

use crate::data::{Dataset, Label, Protocol, Recipe, draw_folds};
use crate::train::evaluation::crossval::{Contender, CrossValidation};
use crate::train::evaluation::evaluate::score;

/// The measured values plus `error` of the row.
pub(in crate::train) fn off_by(data: &Dataset, error: impl Fn(usize) -> f64) -> Vec<Vec<f64>> {
    let answer = |(row, label): (usize, &Label)| match label {
        Label::Values(values) => values.iter().map(|value| value.unwrap_or(0.0) + error(row)).collect(),
        Label::Class(class) => vec![*class as f64],
    };
    data.labels.iter().enumerate().map(answer).collect()
}

/// A cross-validation with errors `error` of the candidate, and twice as large ones of the baselines.
pub(in crate::train) fn validation(
    recipe: &Recipe,
    data: &Dataset,
    protocol: Protocol,
    error: impl Fn(usize) -> f64,
) -> CrossValidation {
    let splits = draw_folds(&data.groups, protocol, 3, 7).unwrap();
    let contender = |predicted: Vec<Vec<f64>>| {
        let of = |rows: &[usize]| rows.iter().map(|row| predicted[*row].clone()).collect::<Vec<_>>();
        let scores: Vec<BTreeMap<_, _>> =
            splits.iter().map(|split| score(recipe, data, &split.test, &of(&split.test))).collect();
        Contender { scores, predicted }
    };
    CrossValidation {
        protocol,
        candidate: contender(off_by(data, &error)),
        ridge: contender(off_by(data, |row| 2.0 * error(row))),
        random_forest: contender(off_by(data, |row| 2.0 * error(row))),
        splits,
    }
}
