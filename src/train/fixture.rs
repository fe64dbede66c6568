//! A small recipe and data for unit tests of measuring and judging.
//!
//! Its own because several files test with it.

use std::collections::BTreeMap;

use super::crossval::{Contender, CrossValidation};
use super::dataset::Dataset;
use super::evaluate::score;
use super::folds::{Protocol, draw_folds};
use super::outcomes::Outcome;
use super::recipe::Recipe;

/// A regression with two targets, a number and a category.
pub(super) const RECIPE: &str = r#"
    name = "lab"
    title = "x"
    route = "/predict/steel"
    group = "heat"
    composition = { basis = "weight_percent", balance = "Fe", elements = ["C"] }
    processing = [{ name = "time" }, { name = "melt", levels = ["a", "b"] }]
    targets = [{ name = "hardness", unit = "HV" }, { name = "strength", unit = "MPa" }]
    features = { image = { basis = "atomic_percent", balance = true } }
    network = { preset = "MCVN-paper", attention = "self" }
    training = { members = 1, steps = 1, learning_rate = 1e-3, warmup = 0, weight_decay = 0.0, clip_norm = 1.0, ema = 0.9 }
"#;

/// Header of [`rows`].
pub(super) const HEADER: &str = "heat,C,time,melt,hardness,strength";

/// Different rows, `of_a_heat` to a heat.
pub(super) fn rows(count: usize, of_a_heat: usize) -> String {
    let row = |row: usize| {
        let (heat, carbon, melt) = (row / of_a_heat, 0.1 + 0.01 * row as f64, ["a", "b"][row % 2]);
        format!("h{heat},{carbon:.2},{row},{melt},{},{}", 200 + row * row % 83, 700 + row * 7 % 31)
    };
    (0..count).map(|index| row(index) + "\n").collect()
}

/// The recipe and a data set of these rows.
pub(super) fn lab(rows: &str) -> (Recipe, Dataset) {
    let recipe = Recipe::parse(RECIPE).unwrap();
    let data = Dataset::read(format!("{HEADER}\n{rows}").as_bytes(), &recipe).unwrap();
    (recipe, data)
}

/// What was measured, off by `error` of the row.
pub(super) fn off_by(data: &Dataset, error: impl Fn(usize) -> f64) -> Vec<Vec<f64>> {
    let answer = |(row, outcome): (usize, &Outcome)| match outcome {
        Outcome::Values(values) => values.iter().map(|value| value.unwrap_or(0.0) + error(row)).collect(),
        Outcome::Class(class) => vec![*class as f64],
    };
    data.outcomes.iter().enumerate().map(answer).collect()
}

/// A cross-validation in which the candidate was off by `error`, and the baselines by twice as much.
pub(super) fn validation(
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
