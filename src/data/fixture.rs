//! A small recipe and data for unit tests of several files.

use crate::data::dataset::Dataset;
use crate::data::recipe::Recipe;

/// A regression with two targets, a number and a category.
pub(crate) const RECIPE: &str = r#"
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
pub(crate) const HEADER: &str = "heat,C,time,melt,hardness,strength";

/// Different rows, `of_a_heat` per heat.
pub(crate) fn rows(count: usize, of_a_heat: usize) -> String {
    let row = |row: usize| {
        let (heat, carbon, melt) = (row / of_a_heat, 0.1 + 0.01 * row as f64, ["a", "b"][row % 2]);
        format!("h{heat},{carbon:.2},{row},{melt},{},{}", 200 + row * row % 83, 700 + row * 7 % 31)
    };
    (0..count).map(|index| row(index) + "\n").collect()
}

/// The recipe and a data set of these rows.
pub(crate) fn lab(rows: &str) -> (Recipe, Dataset) {
    let recipe = Recipe::parse(RECIPE).unwrap();
    let data = Dataset::read(format!("{HEADER}\n{rows}").as_bytes(), &recipe).unwrap();
    (recipe, data)
}
