//! Conversion of scores and logits to probabilities.

use std::iter::Sum;
use std::ops::DivAssign;

/// Converts class scores, such as regressed indicators, to probabilities: clips them to `floor`–1 and scales them to
/// sum to 1. A `floor` above 0 keeps the log loss of a confident error finite.
pub fn to_probabilities<T>(row: &mut [T], floor: T)
where
    T: Copy + PartialOrd + From<f32> + Sum + DivAssign,
{
    let (one, least) = (T::from(1.0), T::from(1e-6));
    for value in row.iter_mut() {
        if *value < floor {
            *value = floor;
        } else if *value > one {
            *value = one;
        }
    }
    let sum: T = row.iter().copied().sum();
    // If all scores are 0, they stay 0.
    let sum = if sum > least { sum } else { least };
    row.iter_mut().for_each(|value| *value /= sum);
}

/// Converts logits to probabilities.
pub(super) fn softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter_mut().for_each(|logit| *logit = (*logit - largest).exp());
    let sum: f32 = logits.iter().sum();
    logits.iter_mut().for_each(|value| *value /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_classes_become_probabilities() {
        let mut row = [1.3, -0.2, 0.4];
        to_probabilities(&mut row, 1e-3);
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12 && row[1] > 0.0 && row[0] > row[2]);
        let mut nothing = [0.0f32; 2];
        to_probabilities(&mut nothing, 0.0);
        assert_eq!(nothing, [0.0, 0.0]);
    }
}
