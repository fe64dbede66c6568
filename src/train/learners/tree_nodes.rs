//! Shared by forests and boosted trees: the selection of columns, and the conversion of trees for serving.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::featurize::PIXELS;
use crate::model::{MOST_FEATURES, Node};
use crate::train::error::FitError;
use crate::train::training_set::TrainingSet;

/// A node in the library's form: values up to the split go to the true child.
#[derive(Deserialize)]
pub(in crate::train) struct Grown {
    pub(in crate::train) output: f64,
    pub(in crate::train) split_feature: usize,
    pub(in crate::train) split_value: Option<f64>,
    pub(in crate::train) true_child: Option<usize>,
    pub(in crate::train) false_child: Option<usize>,
}

/// A column of the features, and its index among all features.
pub(in crate::train) struct Column {
    pub(in crate::train) place: usize,
    pub(in crate::train) values: Vec<f32>,
}

/// The columns of the scaled row, then of the pixels if the trees use the image. Columns that are constant or equal to
/// an earlier one are left out, because they cost time and add no information. (For percentages, the sum is a hundred
/// times the average.)
pub(in crate::train) fn columns(image: bool, set: &TrainingSet) -> Result<Vec<Column>, FitError> {
    let pixels = set.pixels.as_ref().filter(|_| image).map(|pixels| (pixels.as_slice(), PIXELS));
    let parts = [(set.row.as_slice(), set.width())].into_iter().chain(pixels);
    let all = parts.flat_map(|(values, width)| {
        (0..width).map(move |at| values.iter().skip(at).step_by(width).copied().collect::<Vec<f32>>())
    });
    let mut seen: BTreeSet<Vec<i64>> = BTreeSet::new();
    let mut kept = Vec::new();
    for (place, values) in all.enumerate() {
        // Round to a ten-thousandth of a standard deviation, so that equal columns are recognised despite rounding
        // errors.
        let rounded: Vec<i64> = values.iter().map(|value| (f64::from(*value) * 1e4).round() as i64).collect();
        if values.iter().any(|value| *value != values[0]) && seen.insert(rounded) {
            kept.push(Column { place, values });
        }
    }
    if kept.is_empty() {
        kept.push(Column { place: 0, values: vec![0.0; set.count] });
    }
    match kept.iter().all(|column| column.place < MOST_FEATURES) {
        true => Ok(kept),
        false => Err(FitError::Learner(format!("a forest reads at most {MOST_FEATURES} features"))),
    }
}

/// Converts a tree to depth-first order: the child for `feature ≤ threshold` follows its parent.
pub(in crate::train) fn depth_first(nodes: &[Grown], places: &[usize]) -> Vec<Node> {
    let mut ordered = Vec::with_capacity(nodes.len());
    // Nodes to visit; for a second child, with its parent.
    let mut waiting = vec![(0, None)];
    while let Some((index, parent)) = waiting.pop() {
        let here = ordered.len();
        if let Some(Node::Split { skip, .. }) = parent.and_then(|parent: usize| ordered.get_mut(parent)) {
            *skip = here - parent.unwrap_or(here);
        }
        let Some(node) = nodes.get(index) else { continue };
        match (node.split_value, node.true_child, node.false_child) {
            (Some(threshold), Some(low), Some(high)) => {
                // Round down, so that no training value changes sides.
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
        // Breadth first, as the library may store it.
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
