//! The committee: members of several families, averaged and mixed into one answer.
//!
//! Its own because this is where members meet: within a family they are averaged, the families are mixed by
//! shares that may depend on how new the sample is. Near to the training rows smooth models are right; far
//! from them a forest, which never leaves what was measured, errs less.

use super::bundle::BundleError;
use super::manifest::{Gate, Share};
use super::member::{Inputs, Member};

/// One of the committee and its place in it.
pub(super) struct Seat {
    pub(super) family: usize,
    pub(super) outputs: Vec<usize>,
    pub(super) member: Box<dyn Member>,
}

/// All of them.
pub(super) struct Committee {
    pub(super) seats: Vec<Seat>,
    pub(super) families: Vec<Share>,
    pub(super) gate: Option<Gate>,
    /// Outputs of the whole.
    pub(super) width: usize,
}

/// What the committee says of one sample, standardised or as probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The mixed outputs.
    pub mixed: Vec<f64>,
    /// The outputs of each family.
    pub families: Vec<Vec<f64>>,
    /// From 0 (like the training rows) to 1; `None` where no member measures it.
    pub novelty: Option<f64>,
}

impl Committee {
    /// Asks all members. An answer does not depend on the other samples of the pass.
    pub(super) fn answer(&self, inputs: &Inputs) -> Result<Vec<Verdict>, BundleError> {
        let families = self.families.len();
        let mut sums = vec![0.0; inputs.count * families * self.width];
        let mut votes = vec![0u32; families * self.width];
        let mut novelty: Option<Vec<f64>> = None;
        let mut judges = 0.0;
        for seat in &self.seats {
            let said = seat.member.answer(inputs)?;
            seat.outputs.iter().for_each(|output| votes[seat.family * self.width + output] += 1);
            for (sample, values) in said.values.chunks(seat.outputs.len()).enumerate() {
                let start = (sample * families + seat.family) * self.width;
                seat.outputs.iter().zip(values).for_each(|(output, value)| sums[start + output] += f64::from(*value));
            }
            if let Some(said) = said.novelty {
                judges += 1.0;
                let all = novelty.get_or_insert_with(|| vec![0.0; inputs.count]);
                all.iter_mut().zip(said).for_each(|(sum, own)| *sum += f64::from(own));
            }
        }
        let verdict = |(sample, sums): (usize, &[f64])| {
            let novelty = novelty.as_ref().map(|novelty| novelty[sample] / judges);
            let means = sums.iter().zip(&votes).map(|(sum, votes)| sum / f64::from(*votes)).collect::<Vec<_>>();
            let families: Vec<Vec<f64>> = means.chunks(self.width).map(<[f64]>::to_vec).collect();
            let farness = self.gate.zip(novelty).map_or(1.0, |(gate, novelty)| gate.farness(novelty));
            Verdict { mixed: mix_families(&self.families, &families, farness), families, novelty }
        };
        Ok(sums.chunks(families * self.width).enumerate().map(verdict).collect())
    }
}

impl Verdict {
    /// How far the families are apart: the standard deviation over them, averaged over the outputs. 0 for one family.
    pub fn disagreement(&self) -> f64 {
        let spread = |output: usize| {
            let said = self.families.iter().map(|family| family[output]).filter(|value| !value.is_nan());
            let count = said.clone().count().max(1) as f64;
            let mean = said.clone().sum::<f64>() / count;
            (said.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
        };
        (0..self.mixed.len()).map(spread).sum::<f64>() / self.mixed.len().max(1) as f64
    }
}

/// The families' outputs, each weighed by its share among those that give it; a family that does not has NaN there. Where
/// all that give an output have no share, they count alike: something must be said of it.
pub fn mix_families(shares: &[Share], families: &[Vec<f64>], farness: f64) -> Vec<f64> {
    let width = families.first().map_or(0, Vec::len);
    let mix = |output: usize| {
        let (mut sum, mut weight) = (0.0, 0.0);
        let giving = || shares.iter().zip(families).filter(move |(_, outputs)| !outputs[output].is_nan());
        for (share, outputs) in giving() {
            let share = share.near + (share.far - share.near) * farness;
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
        let verdict = |families| Verdict { mixed: vec![0.0, 0.0], families, novelty: None };
        assert_eq!(verdict(vec![vec![1.0, 2.0]]).disagreement(), 0.0);
        // Apart by 2 on one output, and one family alone on the other.
        assert_eq!(verdict(vec![vec![1.0, 2.0], vec![3.0, f64::NAN]]).disagreement(), 0.5);
    }
}
