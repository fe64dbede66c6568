//! Grows the boosted trees of an ensemble with forust. Like [`super::forest`], it converts the library's trees to the
//! form used for serving.

use forust_ml::objective::ObjectiveType;
use forust_ml::sampler::SampleMethod;
use forust_ml::tree::Tree;
use forust_ml::{GradientBooster, Matrix};
use rand::Rng;

use crate::data::BoostingRecipe;
use crate::model::{ForestConfig, MemberTensors, Node, forest_tensors, rng};
use crate::train::error::FitError;
use crate::train::learners::tree_nodes::{Grown, columns, depth_first};
use crate::train::training_set::TrainingSet;

/// Largest log odds of a class: 999 to 1. It is used if all rows or none belong to the class.
const LARGEST_LOG_ODDS: f64 = 6.9;

/// Grows one series of trees for each output: for squared errors or, for a class, for its log odds against the others.
pub(in crate::train) fn boost(
    plan: &BoostingRecipe,
    set: &TrainingSet,
    outputs: &[usize],
    seed: u64,
) -> Result<(ForestConfig, MemberTensors), FitError> {
    let config = ForestConfig {
        // The first tree is a constant, the start value of the corrections.
        trees: plan.rounds + 1,
        outputs: outputs.len(),
        row_features: set.width(),
        image: plan.image,
        probabilities: set.classes(),
        boosted: true,
    };
    let columns = columns(plan.image, set)?;
    let values: Vec<f64> =
        columns.iter().flat_map(|column| column.values.iter().map(|value| f64::from(*value))).collect();
    let features = Matrix::new(&values, set.count, columns.len());
    let places: Vec<usize> = columns.iter().map(|column| column.place).collect();
    let targets = set.targets(outputs, 0.0);
    let mut seeds = rng(seed, "boosting");
    let mut trees = Vec::with_capacity(config.trees * outputs.len());
    for output in 0..outputs.len() {
        let own: Vec<f64> = targets.iter().skip(output).step_by(outputs.len()).map(|value| f64::from(*value)).collect();
        let seed = seeds.next_u64();
        if own.iter().all(|value| *value == own[0]) {
            // There is nothing to correct, and the log odds of a class that never or always occurs are infinite.
            let constant = if set.classes() { LARGEST_LOG_ODDS * (2.0 * own[0] - 1.0) } else { own[0] };
            trees.push(vec![Node::Leaf(constant as f32)]);
            trees.extend((0..plan.rounds).map(|_| vec![Node::Leaf(0.0)]));
            continue;
        }
        let mut booster = booster(plan, set.classes(), seed);
        booster
            .fit(&features, &own, &set.weights, None)
            .map_err(|error| FitError::Learner(format!("boosting: {error}")))?;
        trees.push(vec![Node::Leaf(booster.base_score as f32)]);
        trees.extend(booster.trees.iter().map(|tree| depth_first(&grown(tree), &places)));
    }
    let tensors = forest_tensors(&trees)?.map(|(name, tensor)| (name.to_owned(), tensor));
    Ok((config, tensors.into()))
}

fn booster(plan: &BoostingRecipe, classes: bool, seed: u64) -> GradientBooster {
    GradientBooster::default()
        .set_objective_type(if classes { ObjectiveType::LogLoss } else { ObjectiveType::SquaredLoss })
        .set_iterations(plan.rounds)
        .set_learning_rate(plan.learning_rate as f32)
        .set_max_depth(plan.depth)
        .set_max_leaves(usize::MAX)
        .set_l2(plan.penalty as f32)
        .set_min_leaf_weight(plan.min_weight as f32)
        .set_sample_method(SampleMethod::Random)
        .set_subsample(plan.rows as f32)
        .set_colsample_bytree(plan.columns)
        .set_initialize_base_score(true)
        // Members are already trained in parallel.
        .set_parallel(false)
        .set_seed(seed)
}

/// Features are never missing here, so the branch for missing values is left out.
fn grown(tree: &Tree) -> Vec<Grown> {
    let nodes = tree.nodes.iter().map(|node| Grown {
        output: f64::from(node.weight_value),
        split_feature: node.split_feature,
        // In this library, values below the split go to the left, without the split itself.
        split_value: (!node.is_leaf).then(|| node.split_value.next_down()),
        true_child: Some(node.left_child),
        false_child: Some(node.right_child),
    });
    nodes.collect()
}
