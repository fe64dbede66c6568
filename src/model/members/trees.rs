//! Tree ensembles: extremely randomised trees (Geurts, Ernst, Wehenkel 2006), a random forest, or boosted trees.
//!
//! They run on scaled features on the CPU, whatever the device. Libraries grow the trees (see `train`). Here each tree
//! is an array in depth-first order: the left child is the next node, and a node takes eight bytes.

use std::collections::HashMap;
use std::ops::Range;

use candle_core::{Device, Tensor};

use crate::featurize::PIXELS;
use crate::model::error::BundleError;
use crate::model::members::member::{Inputs, Member, MemberOutput};
use crate::model::probabilities::to_probabilities;
use crate::model::spec::members::ForestConfig;

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// If `feature ≤ threshold`, go to the next node, otherwise `skip` nodes further.
    Split {
        /// Index of the feature.
        feature: usize,
        /// Threshold in scaled units.
        threshold: f32,
        /// Number of nodes from here to the right child.
        skip: usize,
    },
    /// A leaf with its value.
    Leaf(f32),
}

/// A packed node: `step` holds feature and skip (0 for a leaf), `number` the threshold or value.
#[derive(Clone, Copy)]
struct Packed {
    step: u32,
    number: f32,
}

const FEATURE_BITS: u32 = 10;
/// Largest number of features.
pub const MOST_FEATURES: usize = 1 << FEATURE_BITS;
/// Largest number of nodes in a tree.
const MOST_NODES: usize = 1 << (32 - FEATURE_BITS);

/// A loaded forest.
pub(in crate::model) struct Forest {
    config: ForestConfig,
    nodes: Vec<Packed>,
    /// All trees; those of output 0 come first.
    trees: Vec<Tree>,
    groups: Vec<Range<usize>>,
}

/// The position of a tree's root, and the depth of the tree.
struct Tree {
    root: usize,
    depth: usize,
}

/// Number of walks that run side by side. A single walk would wait for memory at every step.
const LANES: usize = 8;

impl Forest {
    /// Reads a forest from the tensors of a bundle. Checks that every walk ends within its tree.
    pub(in crate::model) fn load(
        config: &ForestConfig,
        prefix: &str,
        tensors: &HashMap<String, Tensor>,
    ) -> Result<Self, BundleError> {
        let get = |name: &str| {
            let name = format!("{prefix}.{name}");
            let tensor = tensors.get(&name).ok_or_else(|| BundleError::Weights(format!("{name} is missing")))?;
            Ok::<_, BundleError>(tensor.to_device(&Device::Cpu)?)
        };
        let steps = get("steps")?.to_vec1::<u32>()?;
        let numbers = get("numbers")?.to_vec1::<f32>()?;
        let sizes = get("sizes")?.to_vec1::<u32>()?;
        let wrong = |what: &str| BundleError::Weights(format!("{prefix}: {what}"));
        let total: usize = sizes.iter().map(|size| *size as usize).sum();
        if steps.len() != numbers.len()
            || total != steps.len()
            || Some(sizes.len()) != config.trees.checked_mul(config.outputs)
        {
            return Err(wrong("the trees do not fit together"));
        }
        let nodes: Vec<Packed> = steps.into_iter().zip(numbers).map(|(step, number)| Packed { step, number }).collect();
        let width = config.row_features + if config.image { PIXELS } else { 0 };
        let mut trees = Vec::with_capacity(sizes.len());
        let mut root = 0;
        for size in sizes {
            let tree = &nodes[root..root + size as usize];
            let depth = depth(tree, width).ok_or_else(|| wrong("a tree is damaged"))?;
            trees.push(Tree { root, depth });
            root += tree.len();
        }
        let groups = groups(&trees, nodes.len());
        Ok(Self { config: config.clone(), nodes, trees, groups })
    }

    /// Adds the leaf values of each sample to the sums of its outputs. Each sum adds the trees in the same order, so
    /// the result is always the same, bit for bit.
    fn walk(&self, inputs: &Inputs, sums: &mut [f32]) {
        let (outputs, trees) = (self.config.outputs, self.config.trees);
        let row = (inputs.row_values.as_slice(), self.config.row_features);
        let pixels = (inputs.pixel_values.as_slice(), if self.config.image { PIXELS } else { 0 });
        let blocks: Vec<_> = (0..inputs.count / LANES).map(|block| side_by_side(block, [row, pixels])).collect();
        let (whole, rest) = sums.split_at_mut(blocks.len() * LANES * outputs);
        for group in &self.groups {
            for (block, sums) in blocks.iter().zip(whole.chunks_exact_mut(LANES * outputs)) {
                for (index, tree) in group.clone().zip(&self.trees[group.clone()]) {
                    let ends = self.ends([tree.root; LANES], tree.depth, |lane, feature| block[feature][lane]);
                    for (end, sum) in ends.into_iter().zip(sums.iter_mut().skip(index / trees).step_by(outputs)) {
                        *sum += self.nodes[end].number;
                    }
                }
            }
        }
        // For fewer samples than lanes, each sample walks several trees at once.
        for (sample, sums) in (blocks.len() * LANES..).zip(rest.chunks_exact_mut(outputs)) {
            let sample = [row, pixels].map(|(values, width)| &values[sample * width..][..width]).concat();
            for (group, own) in self.trees.chunks(LANES).enumerate() {
                let roots = std::array::from_fn(|lane| own.get(lane).unwrap_or(&own[0]).root);
                let depth = own.iter().map(|tree| tree.depth).max().unwrap_or(0);
                let ends = self.ends(roots, depth, |_, feature| sample[feature]);
                for (index, end) in (group * LANES..).zip(ends).take(own.len()) {
                    sums[index / trees] += self.nodes[end].number;
                }
            }
        }
    }

    /// The end nodes of walks that run side by side.
    #[inline(always)]
    fn ends(&self, mut at: [usize; LANES], depth: usize, feature: impl Fn(usize, usize) -> f32) -> [usize; LANES] {
        // Leaves point to themselves, so the loop needs no exit test per node and has no branch to predict. A test
        // every `STEPS` steps ends the loop early when all walks have reached a leaf.
        const STEPS: usize = 8;
        for done in (0..depth).step_by(STEPS) {
            for _ in done..depth.min(done + STEPS) {
                for (lane, at) in at.iter_mut().enumerate() {
                    let node = self.nodes[*at];
                    let (place, skip) = unpack(node.step);
                    let next = usize::from(node.step != 0);
                    *at += if feature(lane, place) <= node.number { next } else { skip };
                }
            }
            if at.iter().all(|at| self.nodes[*at].step == 0) {
                break;
            }
        }
        at
    }
}

/// The features of a block of samples, feature by feature. Each part has the values of all samples and its width.
fn side_by_side(block: usize, parts: [(&[f32], usize); 2]) -> Vec<[f32; LANES]> {
    let mut features = vec![[0.0; LANES]; parts.iter().map(|(_, width)| width).sum()];
    let mut from = 0;
    for (values, width) in parts.into_iter().filter(|(_, width)| *width > 0) {
        let samples = values[block * LANES * width..][..LANES * width].chunks_exact(width);
        for (lane, sample) in samples.enumerate() {
            features[from..].iter_mut().zip(sample).for_each(|(feature, value)| feature[lane] = *value);
        }
        from += width;
    }
    features
}

/// Groups of consecutive trees that fit into the first-level cache together with the features of some samples.
fn groups(trees: &[Tree], nodes: usize) -> Vec<Range<usize>> {
    const MOST: usize = 2048;
    let end = |index: usize| trees.get(index + 1).map_or(nodes, |tree| tree.root);
    let mut groups: Vec<Range<usize>> = Vec::new();
    for index in 0..trees.len() {
        match groups.last_mut() {
            Some(group) if end(index) - trees[group.start].root <= MOST => group.end = index + 1,
            _ => groups.push(index..index + 1),
        }
    }
    groups
}

/// The depth of a tree; `None` if a walk could leave the tree or its features.
fn depth(tree: &[Packed], width: usize) -> Option<usize> {
    let mut depths = vec![0; tree.len()];
    let mut deepest = 0;
    for (at, node) in tree.iter().enumerate() {
        let (feature, skip) = unpack(node.step);
        // All steps lead forward within the tree, so every walk ends.
        if !node.number.is_finite() || (node.step != 0 && (skip < 2 || feature >= width || at + skip >= tree.len())) {
            return None;
        }
        if node.step != 0 {
            for next in [at + 1, at + skip] {
                depths[next] = depths[next].max(depths[at] + 1);
                deepest = deepest.max(depths[next]);
            }
        }
    }
    (!tree.is_empty()).then_some(deepest)
}

impl Member for Forest {
    fn answer(&self, inputs: &Inputs) -> Result<MemberOutput, BundleError> {
        let (outputs, trees) = (self.config.outputs, self.config.trees);
        let mut values = vec![0.0; inputs.count * outputs];
        self.walk(inputs, &mut values);
        match (self.config.boosted, self.config.probabilities) {
            (false, _) => values.iter_mut().for_each(|value| *value /= trees as f32),
            (true, true) => values.iter_mut().for_each(|odds| *odds = 1.0 / (1.0 + (-*odds).exp())),
            (true, false) => {}
        }
        if self.config.probabilities {
            values.chunks_mut(outputs).for_each(|row| to_probabilities(row, 0.0));
        }
        Ok(MemberOutput { values, novelty: None, references: Vec::new() })
    }
}

fn unpack(step: u32) -> (usize, usize) {
    ((step & (MOST_FEATURES as u32 - 1)) as usize, (step >> FEATURE_BITS) as usize)
}

/// The tensors of a forest, with the names used for loading. The trees must be in the order of the outputs.
///
/// # Errors
/// A tree has too many nodes or features, or the tensor library failed.
pub fn forest_tensors(trees: &[Vec<Node>]) -> candle_core::Result<[(&'static str, Tensor); 3]> {
    let (mut steps, mut numbers) = (Vec::new(), Vec::new());
    for node in trees.iter().flatten() {
        let (step, number) = match *node {
            Node::Leaf(value) => (0, value),
            Node::Split { feature, threshold, skip } => {
                if feature >= MOST_FEATURES || skip >= MOST_NODES {
                    candle_core::bail!("a tree of more than {MOST_FEATURES} features or {MOST_NODES} nodes");
                }
                ((skip as u32) << FEATURE_BITS | feature as u32, threshold)
            }
        };
        steps.push(step);
        numbers.push(number);
    }
    let sizes: Vec<u32> = trees.iter().map(|tree| tree.len() as u32).collect();
    let device = Device::Cpu;
    Ok([
        ("steps", Tensor::new(steps, &device)?),
        ("numbers", Tensor::new(numbers, &device)?),
        ("sizes", Tensor::new(sizes, &device)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forest(trees: &[Vec<Node>]) -> Result<Forest, BundleError> {
        load(trees, 1, false, false)
    }

    fn load(trees: &[Vec<Node>], outputs: usize, boosted: bool, probabilities: bool) -> Result<Forest, BundleError> {
        let trees_each = trees.len() / outputs;
        let config = ForestConfig { trees: trees_each, outputs, row_features: 2, image: false, probabilities, boosted };
        let tensors = forest_tensors(trees).unwrap();
        let tensors = tensors.into_iter().map(|(name, tensor)| (format!("f.{name}"), tensor)).collect();
        Forest::load(&config, "f", &tensors)
    }

    fn inputs(row_values: Vec<f32>) -> Inputs {
        Inputs::of(row_values.len() / 2, row_values, Vec::new(), &Device::Cpu)
    }

    fn split(feature: usize, threshold: f32, skip: usize) -> Node {
        Node::Split { feature, threshold, skip }
    }

    #[test]
    fn a_walk_ends_where_the_thresholds_lead() {
        let tree = vec![split(0, 0.5, 2), Node::Leaf(1.0), split(1, -1.0, 2), Node::Leaf(2.0), Node::Leaf(3.0)];
        let forest = forest(&[tree, vec![Node::Leaf(10.0)]]).unwrap();
        let inputs = inputs(vec![0.5, 0.0, 0.6, -1.0, 0.6, 0.0]);
        assert_eq!(forest.answer(&inputs).unwrap().values, [5.5, 6.0, 6.5]);
    }

    #[test]
    fn boosted_trees_add_up() {
        let tree = vec![split(0, 0.5, 2), Node::Leaf(1.0), Node::Leaf(2.0)];
        let trees = [vec![Node::Leaf(10.0)], tree];
        let forest = load(&trees, 1, true, false).unwrap();
        assert_eq!(forest.answer(&inputs(vec![0.5, 0.0, 0.6, 0.0])).unwrap().values, [11.0, 12.0]);
    }

    #[test]
    fn boosted_log_odds_become_probabilities() {
        // Odds of 3 : 1 and 1 : 3.
        let odds = 3.0f32.ln();
        let forest = load(&[vec![Node::Leaf(odds)], vec![Node::Leaf(-odds)]], 2, true, true).unwrap();
        let values = forest.answer(&inputs(vec![0.0, 0.0])).unwrap().values;
        assert!((values[0] - 0.75).abs() < 1e-6 && (values[1] - 0.25).abs() < 1e-6, "{values:?}");
    }

    #[test]
    fn damaged_trees_are_refused() {
        for tree in [
            vec![],
            vec![split(0, 0.0, 2), Node::Leaf(1.0)],
            vec![split(2, 0.0, 2), Node::Leaf(1.0), Node::Leaf(1.0)],
            vec![split(0, 0.0, 1), Node::Leaf(1.0), Node::Leaf(1.0)],
            vec![Node::Leaf(f32::NAN)],
        ] {
            assert!(forest(&[tree]).is_err());
        }
        let config = forest(&[vec![Node::Leaf(1.0)]]).unwrap().config;
        assert!(Forest::load(&config, "f", &HashMap::new()).is_err());
    }
}
