//! The ensemble: members of several families, combined into one prediction.
//!
//! Members of a family are averaged. Families are mixed by shares that may depend on novelty: near the training rows
//! smooth models are more accurate; far from them a forest has smaller errors, because it never leaves the range of the
//! measured values.

use crate::model::error::BundleError;
use crate::model::members::member::{Inputs, Member};
use crate::model::nn::residual::ReferenceAttention;
use crate::model::spec::manifest::{Gate, Share};

/// A member and its place in the ensemble.
pub(super) struct EnsembleMember {
    pub(super) family: usize,
    pub(super) outputs: Vec<usize>,
    /// Whether its novelty is used.
    pub(super) judges: bool,
    pub(super) member: Box<dyn Member>,
}

/// All members, and how they are mixed.
pub(super) struct Ensemble {
    pub(super) members: Vec<EnsembleMember>,
    pub(super) families: Vec<Share>,
    pub(super) gate: Option<Gate>,
    /// Number of outputs of the ensemble.
    pub(super) width: usize,
}

/// The outputs of the ensemble for one sample: standardised targets or probabilities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnsembleOutput {
    /// The mixed outputs.
    pub mixed: Vec<f64>,
    /// The outputs of each family.
    pub families: Vec<Vec<f64>>,
    /// From 0 (like the training rows) to 1; `None` if no member measures it.
    pub novelty: Option<f64>,
    /// Standard deviation over the families, or over the members if there is only one family, averaged over the
    /// outputs. `None` for a single member.
    pub disagreement: Option<f64>,
    /// The references with the largest weights, in decreasing order, at most three.
    pub references: Vec<ReferenceAttention>,
    /// For a sample of which not all is known: the standard deviation of each mixed output over its draws; otherwise
    /// empty.
    pub spread: Vec<f64>,
}

impl EnsembleOutput {
    /// One output from those for the draws of a sample: means, the spread of the mixed outputs, and the references with
    /// the largest mean weights.
    pub(super) fn of_draws(mut draws: Vec<Self>) -> Self {
        let count = draws.len();
        if count < 2 {
            return draws.pop().unwrap_or_default();
        }
        let mixed: Vec<&[f64]> = draws.iter().map(|draw| draw.mixed.as_slice()).collect();
        let means = means(&mixed);
        let deviation = |(output, mean): (usize, &f64)| {
            (mixed.iter().map(|draw| (draw[output] - mean).powi(2)).sum::<f64>() / count as f64).sqrt()
        };
        let families = (0..draws[0].families.len()).map(|family| {
            let own: Vec<&[f64]> = draws.iter().map(|draw| draw.families[family].as_slice()).collect();
            self::means(&own)
        });
        let mean = |value: fn(&Self) -> Option<f64>| {
            let sum: Option<f64> = draws.iter().map(value).sum();
            sum.map(|sum| sum / count as f64)
        };
        let references: Vec<Vec<ReferenceAttention>> = draws.iter().map(|draw| draw.references.clone()).collect();
        Self {
            families: families.collect(),
            novelty: mean(|draw| draw.novelty),
            disagreement: mean(|draw| draw.disagreement),
            references: largest(&references, 0, 1),
            spread: means.iter().enumerate().map(deviation).collect(),
            mixed: means,
        }
    }
}

/// The means of several lists of the same length.
fn means(lists: &[&[f64]]) -> Vec<f64> {
    let width = lists.first().map_or(0, |list| list.len());
    (0..width).map(|at| lists.iter().map(|list| list[at]).sum::<f64>() / lists.len() as f64).collect()
}

/// Number of references named in an answer.
const MOST_REFERENCES: usize = 3;
/// References with a smaller weight are not named.
const LEAST_WEIGHT: f32 = 0.01;

impl Ensemble {
    /// Runs all members. The output for a sample does not depend on the other samples of the pass.
    pub(super) fn answer(&self, inputs: &Inputs) -> Result<Vec<EnsembleOutput>, BundleError> {
        let families = self.families.len();
        let mut sums = vec![0.0; inputs.count * families * self.width];
        let mut squares = vec![0.0; if families == 1 { sums.len() } else { 0 }];
        let mut votes = vec![0u32; families * self.width];
        let mut novelty: Option<Vec<f64>> = None;
        let mut references = Vec::new();
        let mut judges = 0.0;
        for own in &self.members {
            let answer = own.member.answer(inputs)?;
            own.outputs.iter().for_each(|output| votes[own.family * self.width + output] += 1);
            for (sample, values) in answer.values.chunks(own.outputs.len()).enumerate() {
                let start = (sample * families + own.family) * self.width;
                for (output, value) in own.outputs.iter().zip(values) {
                    let value = f64::from(*value);
                    sums[start + output] += value;
                    if let Some(square) = squares.get_mut(start + output) {
                        *square += value * value;
                    }
                }
            }
            if let Some(values) = answer.novelty.filter(|_| own.judges) {
                judges += 1.0;
                let all = novelty.get_or_insert_with(|| vec![0.0; inputs.count]);
                all.iter_mut().zip(values).for_each(|(sum, own)| *sum += f64::from(own));
            }
            if !answer.references.is_empty() {
                references.push(answer.references);
            }
        }
        let output = |(sample, sums): (usize, &[f64])| {
            let novelty = novelty.as_ref().map(|novelty| novelty[sample] / judges);
            let means = sums.iter().zip(&votes).map(|(sum, votes)| sum / f64::from(*votes)).collect::<Vec<_>>();
            let families: Vec<Vec<f64>> = means.chunks(self.width).map(<[f64]>::to_vec).collect();
            let far = self.gate.zip(novelty).map_or(1.0, |(gate, novelty)| gate.weight(novelty));
            // A member returned NaN for an output that it should give. The whole prediction is then NaN, instead of
            // leaving the member out.
            let broken = means.iter().zip(&votes).any(|(mean, votes)| *votes > 0 && !mean.is_finite());
            let disagreement = match squares.get(sample * self.width..(sample + 1) * self.width) {
                Some(squares) => among_members(&means, squares, &votes),
                None => among_families(&families),
            };
            EnsembleOutput {
                mixed: if broken { vec![f64::NAN; self.width] } else { mix_families(&self.families, &families, far) },
                disagreement,
                references: largest(&references, sample, inputs.count),
                families,
                novelty,
                spread: Vec::new(),
            }
        };
        Ok(sums.chunks(families * self.width).enumerate().map(output).collect())
    }
}

/// The spread of the members of a single family, from their means and sums of squares.
fn among_members(means: &[f64], squares: &[f64], votes: &[u32]) -> Option<f64> {
    let spread =
        |((mean, square), votes): ((&f64, &f64), &u32)| (square / f64::from(*votes) - mean * mean).max(0.0).sqrt();
    let spreads = means.iter().zip(squares).zip(votes).map(spread);
    votes.iter().any(|votes| *votes > 1).then(|| spreads.sum::<f64>() / means.len().max(1) as f64)
}

/// The spread of several families.
fn among_families(families: &[Vec<f64>]) -> Option<f64> {
    let width = families.first().map_or(0, Vec::len);
    let spread = |output: usize| {
        let values = families.iter().map(|family| family[output]).filter(|value| !value.is_nan());
        let count = values.clone().count().max(1) as f64;
        let mean = values.clone().sum::<f64>() / count;
        (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
    };
    Some((0..width).map(spread).sum::<f64>() / width.max(1) as f64)
}

/// The references of a sample with the largest weights, averaged over all members that have references.
fn largest(members: &[Vec<ReferenceAttention>], sample: usize, samples: usize) -> Vec<ReferenceAttention> {
    let mut all: Vec<ReferenceAttention> = Vec::new();
    for references in members {
        let each = references.len() / samples;
        for own in &references[sample * each..(sample + 1) * each] {
            let weight = own.weight / members.len() as f32;
            match all.iter_mut().find(|known| known.place == own.place) {
                Some(known) => known.weight += weight,
                None => all.push(ReferenceAttention { weight, ..*own }),
            }
        }
    }
    all.retain(|own| own.weight >= LEAST_WEIGHT);
    all.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.place.cmp(&b.place)));
    all.truncate(MOST_REFERENCES);
    all
}

/// Mixes the outputs of families by their shares. A family that does not give an output has NaN there and is left out.
/// If all families that give an output have a share of 0, they count equally.
pub fn mix_families(shares: &[Share], families: &[Vec<f64>], far: f64) -> Vec<f64> {
    let width = families.first().map_or(0, Vec::len);
    let mix = |output: usize| {
        let (mut sum, mut weight) = (0.0, 0.0);
        let giving = || shares.iter().zip(families).filter(move |(_, outputs)| !outputs[output].is_nan());
        for (share, outputs) in giving() {
            let share = share.near + (share.far - share.near) * far;
            sum += share * outputs[output];
            weight += share;
        }
        if weight > 0.0 {
            return sum / weight;
        }
        giving().map(|(_, outputs)| outputs[output]).sum::<f64>() / giving().count() as f64
    };
    (0..width).map(mix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_few_families_give_is_theirs() {
        let share = |weight| Share { near: weight, far: weight };
        let families = [vec![1.0, 2.0], vec![4.0, f64::NAN]];
        assert_eq!(mix_families(&[share(1.0), share(2.0)], &families, 1.0), [3.0, 2.0]);
        assert_eq!(mix_families(&[share(0.0), share(2.0)], &families, 1.0), [4.0, 2.0]);
    }

    #[test]
    fn families_disagree_by_their_spread() {
        // Outputs of two families: 1 and 3 for the first; only one family for the second.
        assert_eq!(among_families(&[vec![1.0, 2.0], vec![3.0, f64::NAN]]), Some(0.5));
    }

    #[test]
    fn members_of_a_sole_family_disagree_by_their_spread() {
        // Values of two members: 1 and 3 for the first output; one value of 2 for the second.
        assert_eq!(among_members(&[2.0, 2.0], &[10.0, 4.0], &[2, 1]), Some(0.5));
        assert_eq!(among_members(&[2.0], &[4.0], &[1]), None);
    }

    #[test]
    fn the_largest_are_named_by_the_mean_of_their_weights() {
        let reference = |place, weight| ReferenceAttention { place, weight };
        let members = [
            vec![reference(9, 0.9), reference(8, 0.1), reference(1, 0.5), reference(2, 0.25)],
            vec![reference(9, 0.9), reference(8, 0.1), reference(2, 0.5), reference(3, 0.015)],
        ];
        assert_eq!(largest(&members, 1, 2), [reference(2, 0.375), reference(1, 0.25)]);
        assert_eq!(largest(&[], 0, 1), []);
    }
}
