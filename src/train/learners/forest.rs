//! Grows the forest of an ensemble with smartcore: extremely randomised trees or a random forest.
//!
//! The library does not expose its trees, so they are read from its serialised form and converted for serving (see
//! `model::members::trees`).

use rand::Rng;
use serde::Deserialize;
use smartcore::ensemble::extra_trees_regressor::{ExtraTreesRegressor, ExtraTreesRegressorParameters};
use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;

use crate::data::{ForestRecipe, Splits};
use crate::model::{ForestConfig, MemberTensors, forest_tensors, rng};
use crate::train::error::FitError;
use crate::train::learners::tree_nodes::{Grown, columns, depth_first};
use crate::train::training_set::TrainingSet;

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
        let written = match plan.splits {
            Splits::Random => {
                let parameters = ExtraTreesRegressorParameters::default();
                let parameters = parameters.with_n_trees(trees_each).with_min_samples_leaf(plan.min_leaf);
                let parameters = parameters.with_m(tried).with_seed(seed);
                let forest = ExtraTreesRegressor::fit(&features, &own, parameters).map_err(|error| failed(&error))?;
                serde_json::to_value(&forest)
            }
            Splits::Best => {
                let parameters = RandomForestRegressorParameters::default().with_n_trees(trees_each);
                let parameters = parameters.with_min_samples_leaf(plan.min_leaf).with_m(tried).with_seed(seed);
                let forest = RandomForestRegressor::fit(&features, &own, parameters).map_err(|error| failed(&error))?;
                serde_json::to_value(&forest)
            }
        };
        let written = written.map_err(|error| failed(&error))?;
        let written: Written = serde_json::from_value(written).map_err(|error| failed(&error))?;
        trees.extend(written.forest_regressor.trees.iter().map(|tree| depth_first(&tree.nodes, &places)));
    }
    let tensors = forest_tensors(&trees)?.map(|(name, tensor)| (name.to_owned(), tensor));
    Ok((config, tensors.into()))
}
