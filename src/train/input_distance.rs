//! Measures ranges and covariance of feature rows, from which the distances of other samples are computed.

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};

use crate::featurize::{ColumnStatistics, Features, Scaler};
use crate::model::TrainingInputs;

/// Added to the diagonal of the correlation matrix before it is inverted.
const RIDGE: f64 = 0.1;

/// Ranges and covariance of feature rows of `width` columns; `None` if a number is not finite.
pub(in crate::train) fn measure_inputs(rows: &[Features], width: usize) -> Option<TrainingInputs> {
    let statistics = ColumnStatistics::over(width, rows.iter().map(|features| features.row.as_slice()));
    let Scaler { offset: mean, factor, .. } = Scaler::standard(&statistics, f64::MAX);
    let scaled = Mat::from_fn(rows.len(), width, |row, column| (rows[row].row[column] - mean[column]) * factor[column]);
    let mut correlation = scaled.transpose() * &scaled * (1.0 / rows.len().max(1) as f64);
    (0..width).for_each(|column| correlation[(column, column)] += RIDGE);
    let inverse = correlation.llt(Side::Lower).ok()?.inverse();
    let inverse = (0..width * width).map(|place| inverse[(place / width, place % width)]).collect();
    let end = |pick: fn(f64, f64) -> f64, start: f64| -> Vec<f64> {
        (0..width).map(|column| rows.iter().map(|own| own.row[column]).fold(start, pick)).collect()
    };
    let (min, max) = (end(f64::min, f64::INFINITY), end(f64::max, f64::NEG_INFINITY));
    let inputs = TrainingInputs { mean, factor, min, max, inverse };
    inputs.is_sound(width).then_some(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leverage_is_one_on_average_and_grows_without_limit() {
        let row = |index: usize| {
            let value = (index as f64 * 0.7).sin();
            Features {
                row: vec![value, 3.0 * value + 0.1 * (index as f64 * 1.3).cos(), 5.0],
                pixels: None,
                draws: None,
            }
        };
        let rows: Vec<Features> = (0..200).map(row).collect();
        let inputs = measure_inputs(&rows, 3).unwrap();
        let leverage = |row: &[f64]| inputs.distance(row).leverage;
        let mean = rows.iter().map(|features| leverage(&features.row)).sum::<f64>() / 200.0;
        // Two of three columns vary; the ridge takes a part.
        assert!((0.3..0.7).contains(&mean), "{mean}");
        // Each value alone is ordinary, the two together are not.
        assert!(leverage(&[0.7, -2.1, 5.0]) > 3.0 * leverage(&[0.7, 2.1, 5.0]));
        assert!(leverage(&[70.0, 210.0, 5.0]) > 1000.0);
        assert_eq!(inputs.factor[2], 0.0);
    }
}
