//! A cross-validation for unit tests.

use std::collections::BTreeMap;

use crate::data::{Dataset, Label, Protocol, Recipe, draw_folds};
use crate::train::evaluation::crossval::{Contender, CrossValidation};
use crate::train::evaluation::evaluate::score;

/// A recipe for classes of alloys, and a small data set with it: eight ribbons, eight crystals, and further rows.
pub(in crate::train) fn glasses(more: &[&str]) -> (Recipe, Dataset) {
    let recipe = r#"
        name = "ribbons"
        title = "x"
        group = "chemical_system"
        composition = { basis = "atomic_percent", formula = "alloy" }
        class = { column = "class", levels = ["BMG", "RMG", "CRA"] }
        network = { attention = "none", heads = 1, norm = "pre", activation = "silu", row = [4], head = [] }
        training = { members = 1, steps = 1, learning_rate = 1e-3, warmup = 0, weight_decay = 0.0, clip_norm = 1.0, ema = 0.9 }
    "#;
    let row = |step: usize| format!("Cu{}Zr{},RMG\nFe{}Ni{},CRA\n", 40 + step, 60 - step, 50 + step, 50 - step);
    let rows: String = (0..8).map(row).chain(more.iter().map(|row| format!("{row}\n"))).collect();
    let recipe = Recipe::parse(recipe).unwrap();
    let data = Dataset::read(format!("alloy,class\n{rows}").as_bytes(), &recipe).unwrap();
    (recipe, data)
}

/// The measured values plus `error` of the row.
pub(in crate::train) fn off_by(data: &Dataset, error: impl Fn(usize) -> f64) -> Vec<Vec<f64>> {
    let answer = |(row, label): (usize, &Label)| match label {
        Label::Values(values) => values.iter().map(|value| value.unwrap_or(0.0) + error(row)).collect(),
        Label::Class(class) => vec![*class as f64],
        Label::AnyOf { .. } => Vec::new(),
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
