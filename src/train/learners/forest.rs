//! Grows the forest of an ensemble with smartcore: extremely randomised trees or a random forest.
//!
//! The library does not expose its trees, so they are read from its serialised form and converted for serving (see
//! `model::members::trees`).

use rand::Rng;
use serde::{Deserialize, Serialize};
use smartcore::ensemble::extra_trees_regressor::{ExtraTreesRegressor, ExtraTreesRegressorParameters};
use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;

use crate::data::{ForestRecipe, Splits};
use crate::model::{ForestConfig, MemberTensors, forest_tensors, rng};
use crate::train::error::FitError;
use crate::train::learners::tree_nodes::{Grown, columns, depth_first};
use crate::train::training_set::TrainingSet;

/// A tree as the library writes it. What is read here is no promise of the library's: its version is pinned in
/// `Cargo.toml`.
#[derive(Deserialize)]
struct GrownTree {
    nodes: Vec<Grown>,
}

#[derive(Deserialize)]
struct GrownForest {
    trees: Vec<GrownTree>,
}

#[derive(Deserialize)]
struct Written {
    forest_regressor: GrownForest,
}

/// Grows `trees_each` trees for each output. A class is predicted by regression on its indicator.
pub(in crate::train) fn grow_forest(
    plan: &ForestRecipe,
    trees_each: usize,
    set: &TrainingSet,
    outputs: &[usize],
    seed: u64,
) -> Result<(ForestConfig, MemberTensors), FitError> {
    let counted = set.counted();
    let set = &*counted;
    let config = ForestConfig {
        trees: trees_each,
        outputs: outputs.len(),
        row_features: set.width(),
        image: plan.image,
        probabilities: set.classes(),
        boosted: false,
    };
    let columns = columns(plan.image, set)?;
    let width = columns.len();
    let failed = |error: &dyn std::fmt::Display| FitError::Learner(format!("forest: {error}"));
    let values = columns.iter().flat_map(|column| column.values.iter().map(|value| f64::from(*value))).collect();
    let features = DenseMatrix::new(set.count, width, values, true).map_err(|error| failed(&error))?;
    let targets = set.targets(outputs, 0.0);
    let places: Vec<usize> = columns.iter().map(|column| column.place).collect();
    let mut seeds = rng(seed, "forest");
    let mut trees = Vec::with_capacity(trees_each * outputs.len());
    for output in 0..outputs.len() {
        let own: Vec<f64> = targets.iter().skip(output).step_by(outputs.len()).map(|value| f64::from(*value)).collect();
        let (tried, seed) = (plan.tried.unwrap_or(width).min(width), seeds.next_u64());
        let grown = match plan.splits {
            Splits::Random => {
                let parameters = ExtraTreesRegressorParameters::default();
                let parameters = parameters.with_n_trees(trees_each).with_min_samples_leaf(plan.min_leaf);
                let parameters = parameters.with_m(tried).with_seed(seed);
                let forest = ExtraTreesRegressor::fit(&features, &own, parameters).map_err(|error| failed(&error))?;
                grown(&forest)?
            }
            Splits::Best => {
                let parameters = RandomForestRegressorParameters::default().with_n_trees(trees_each);
                let parameters = parameters.with_min_samples_leaf(plan.min_leaf).with_m(tried).with_seed(seed);
                let forest = RandomForestRegressor::fit(&features, &own, parameters).map_err(|error| failed(&error))?;
                grown(&forest)?
            }
        };
        trees.extend(grown.iter().map(|tree| depth_first(&tree.nodes, &places)));
    }
    let tensors = forest_tensors(&trees)?.map(|(name, tensor)| (name.to_owned(), tensor));
    Ok((config, tensors.into()))
}

/// The trees of a forest, out of what the library writes of it.
fn grown(forest: &impl Serialize) -> Result<Vec<GrownTree>, FitError> {
    let written = serde_json::to_value(forest).and_then(serde_json::from_value::<Written>);
    let written = written.map_err(|error| FitError::Learner(format!("forest: {error}")))?;
    Ok(written.forest_regressor.trees)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the trees that were read say of a row.
    fn walked(trees: &[GrownTree], row: &[f64]) -> f64 {
        let leaf = |tree: &GrownTree| {
            let mut node = &tree.nodes[0];
            while let (Some(value), Some(low), Some(high)) = (node.split_value, node.true_child, node.false_child) {
                node = &tree.nodes[if row[node.split_feature] <= value { low } else { high }];
            }
            node.output
        };
        trees.iter().map(leaf).sum::<f64>() / trees.len() as f64
    }

    #[test]
    fn the_library_writes_its_trees_in_the_form_that_is_read() {
        const CHANGED: &str = "smartcore writes its trees in another form than the one that `Written` and `Grown` read: \
                               mend those before its version in Cargo.toml is raised";
        let rows: Vec<[f64; 2]> = (0..24).map(|row| [f64::from(row), f64::from(row * 7 % 24)]).collect();
        let targets: Vec<f64> = rows.iter().map(|[one, other]| one * one - 3.0 * other).collect();
        let features = DenseMatrix::from_2d_vec(&rows.iter().map(|row| row.to_vec()).collect()).unwrap();
        let parameters = ExtraTreesRegressorParameters::default().with_n_trees(5).with_seed(1);
        let random = ExtraTreesRegressor::fit(&features, &targets, parameters).unwrap();
        let parameters = RandomForestRegressorParameters::default().with_n_trees(5).with_seed(1);
        let best = RandomForestRegressor::fit(&features, &targets, parameters).unwrap();
        for (trees, own) in
            [(grown(&random), random.predict(&features).unwrap()), (grown(&best), best.predict(&features).unwrap())]
        {
            let trees = trees.unwrap_or_else(|error| panic!("{CHANGED}: {error}"));
            assert!(trees.len() == 5 && trees.iter().all(|tree| tree.nodes.len() > 1), "{CHANGED}");
            for (row, own) in rows.iter().zip(own) {
                let read = walked(&trees, row);
                assert!((read - own).abs() < 1e-9, "{CHANGED}: {read} where it says {own}");
            }
        }
    }
}
