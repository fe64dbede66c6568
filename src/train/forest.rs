//! Growing the committee's forest with smartcore: extremely randomised trees, or a random forest.
//!
//! Its own because the library keeps its trees to itself: they come out through its serialisation and are
//! rearranged for walking (see `model::forest`).

use std::collections::BTreeSet;

use serde::Deserialize;
use smartcore::ensemble::extra_trees_regressor::{ExtraTreesRegressor, ExtraTreesRegressorParameters};
use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;

use super::committee::{ForestPartner, Splits};
use super::fit::FitError;
use super::material::Material;
use crate::featurize::PIXELS;
use crate::model::{ForestConfig, MOST_FEATURES, MemberTensors, Node, forest_tensors, rng};
use rand::Rng;

/// A node as the library writes it: values up to the split's go to the true child.
#[derive(Deserialize)]
pub(super) struct Grown {
    pub(super) output: f64,
    pub(super) split_feature: usize,
    pub(super) split_value: Option<f64>,
    pub(super) true_child: Option<usize>,
    pub(super) false_child: Option<usize>,
}

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

/// Grows `trees_each` trees for every output; a class is regressed on its indicators.
pub(super) fn grow_forest(
    plan: &ForestPartner,
    trees_each: usize,
    material: &Material,
    outputs: &[usize],
    seed: u64,
) -> Result<(ForestConfig, MemberTensors), FitError> {
    let config = ForestConfig {
        trees: trees_each,
        outputs: outputs.len(),
        row_features: material.width(),
        image: plan.image,
        probabilities: material.classes(),
        boosted: false,
    };
    let columns = columns(plan.image, material)?;
    let width = columns.len();
    let failed = |error: &dyn std::fmt::Display| FitError::Baseline(format!("forest: {error}"));
    let values = columns.iter().flat_map(|column| column.values.iter().map(|value| f64::from(*value))).collect();
    let features = DenseMatrix::new(material.count, width, values, true).map_err(|error| failed(&error))?;
    let wanted = material.wanted(outputs, 0.0);
    let places: Vec<usize> = columns.iter().map(|column| column.place).collect();
    let mut seeds = rng(seed, "forest");
    let mut trees = Vec::with_capacity(trees_each * outputs.len());
    for output in 0..outputs.len() {
        let own: Vec<f64> = wanted.iter().skip(output).step_by(outputs.len()).map(|value| f64::from(*value)).collect();
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

/// A column of the forest's features, and its place among all of them.
pub(super) struct Column {
    pub(super) place: usize,
    pub(super) values: Vec<f32>,
}

/// The columns of the scaled row, then of the pixels where the forest reads them, without those that don't vary or are
/// the same as an earlier one (of percentages the sum is a hundred times the average): they cost time and tell nothing.
pub(super) fn columns(image: bool, material: &Material) -> Result<Vec<Column>, FitError> {
    let pixels = material.pixels.as_ref().filter(|_| image).map(|pixels| (pixels.as_slice(), PIXELS));
    let parts = [(material.row.as_slice(), material.width())].into_iter().chain(pixels);
    let all = parts.flat_map(|(values, width)| {
        (0..width).map(move |at| values.iter().skip(at).step_by(width).copied().collect::<Vec<f32>>())
    });
    let mut seen: BTreeSet<Vec<i64>> = BTreeSet::new();
    let mut kept = Vec::new();
    for (place, values) in all.enumerate() {
        // To a ten-thousandth of a deviation: rounding must not tell two copies apart.
        let rounded: Vec<i64> = values.iter().map(|value| (f64::from(*value) * 1e4).round() as i64).collect();
        if values.iter().any(|value| *value != values[0]) && seen.insert(rounded) {
            kept.push(Column { place, values });
        }
    }
    if kept.is_empty() {
        kept.push(Column { place: 0, values: vec![0.0; material.count] });
    }
    match kept.iter().all(|column| column.place < MOST_FEATURES) {
        true => Ok(kept),
        false => Err(FitError::Baseline(format!("a forest reads at most {MOST_FEATURES} features"))),
    }
}

/// A tree in depth-first order: the child of `feature ≤ threshold` follows its parent.
pub(super) fn depth_first(nodes: &[Grown], places: &[usize]) -> Vec<Node> {
    let mut ordered = Vec::with_capacity(nodes.len());
    // What is still to be visited, and the parent whose other child it is.
    let mut waiting = vec![(0, None)];
    while let Some((index, parent)) = waiting.pop() {
        let here = ordered.len();
        if let Some(Node::Split { skip, .. }) = parent.and_then(|parent: usize| ordered.get_mut(parent)) {
            *skip = here - parent.unwrap_or(here);
        }
        let Some(node) = nodes.get(index) else { continue };
        match (node.split_value, node.true_child, node.false_child) {
            (Some(threshold), Some(low), Some(high)) => {
                // Rounded down, so that no training value changes its side.
                let rounded = threshold as f32;
                let threshold = if f64::from(rounded) > threshold { rounded.next_down() } else { rounded };
                ordered.push(Node::Split { feature: places[node.split_feature], threshold, skip: 0 });
                waiting.push((high, Some(here)));
                waiting.push((low, None));
            }
            _ => ordered.push(Node::Leaf(node.output as f32)),
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_rearranged_for_walking() {
        let split = |feature, low, high| Grown {
            output: 0.0,
            split_feature: feature,
            split_value: Some(0.1),
            true_child: Some(low),
            false_child: Some(high),
        };
        let leaf = |output| Grown { output, split_feature: 0, split_value: None, true_child: None, false_child: None };
        // As the library may have it: breadth first.
        let nodes = [split(3, 1, 2), split(4, 3, 4), leaf(7.0), leaf(5.0), leaf(6.0)];
        let ordered = depth_first(&nodes, &[0, 1, 2, 3, 9]);
        let threshold = 0.1f32.next_down();
        assert_eq!(
            ordered,
            [
                Node::Split { feature: 3, threshold, skip: 4 },
                Node::Split { feature: 9, threshold, skip: 2 },
                Node::Leaf(5.0),
                Node::Leaf(6.0),
                Node::Leaf(7.0),
            ]
        );
    }
}
