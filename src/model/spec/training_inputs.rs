//! The inputs of the training data, and how far from them a sample is.

use serde::{Deserialize, Serialize};

/// Ranges and covariance of the feature rows of the training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingInputs {
    /// Mean of each column.
    pub mean: Vec<f64>,
    /// Reciprocal of the standard deviation of each column; 0 for a constant column, which has no influence.
    pub factor: Vec<f64>,
    /// Least value of each column.
    pub min: Vec<f64>,
    /// Largest value of each column.
    pub max: Vec<f64>,
    /// Inverse of the correlation matrix, row by row. A tenth of the unit matrix is added before it is inverted, because
    /// amounts that sum to 100 are not independent.
    pub inverse: Vec<f64>,
}

/// How far a sample is from the training rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InputDistance {
    /// Leverage: the squared distance from the mean, allowing for how the inputs vary together (squared Mahalanobis
    /// distance, as in a Williams plot), divided by the number of columns. About 1 on average over the training rows,
    /// without an upper limit.
    pub leverage: f64,
    /// How far the input that is farthest outside its training range is outside, in standard deviations; 0 if all are
    /// inside.
    pub excess: f64,
}

impl TrainingInputs {
    /// The distance of a feature row.
    pub fn distance(&self, row: &[f64]) -> InputDistance {
        let scaled: Vec<f64> = row
            .iter()
            .zip(&self.mean)
            .zip(&self.factor)
            .map(|((value, mean), factor)| (value - mean) * factor)
            .collect();
        let width = self.mean.len().max(1);
        let products = self.inverse.chunks(width).zip(&scaled).map(|(inverse, own)| {
            own * inverse.iter().zip(&scaled).map(|(inverse, other)| inverse * other).sum::<f64>()
        });
        let ranges = self.min.iter().zip(&self.max);
        let outside = row
            .iter()
            .zip(&self.factor)
            .zip(ranges)
            .map(|((value, factor), (min, max))| (min - value).max(value - max).max(0.0) * factor);
        InputDistance { leverage: (products.sum::<f64>() / width as f64).max(0.0), excess: outside.fold(0.0, f64::max) }
    }

    /// Whether the numbers fit a feature row of this width.
    pub fn is_sound(&self, width: usize) -> bool {
        let columns = [&self.mean, &self.factor, &self.min, &self.max];
        columns.iter().all(|column| column.len() == width)
            && self.inverse.len() == width * width
            && columns.into_iter().chain([&self.inverse]).flatten().all(|number| number.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leverage_is_a_squared_distance_and_excess_is_outside_the_range() {
        let inputs = TrainingInputs {
            mean: vec![10.0, 5.0],
            factor: vec![0.5, 0.0],
            min: vec![6.0, 5.0],
            max: vec![13.0, 5.0],
            inverse: vec![1.0, 0.0, 0.0, 1.0],
        };
        assert!(inputs.is_sound(2) && !inputs.is_sound(3));
        // The first column is 3 standard deviations off, 1.5 of them outside its range; the second is constant.
        assert_eq!(inputs.distance(&[16.0, 7.0]), InputDistance { leverage: 4.5, excess: 1.5 });
        assert_eq!(inputs.distance(&[6.0, 5.0]), InputDistance { leverage: 2.0, excess: 0.0 });
    }
}
