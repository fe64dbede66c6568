//! Scaling of feature columns, fitted on training rows only.
//!
//! A scaler is part of a bundle and must not be used with the weights of another. When serving, values outside the
//! fitted range are clipped.

use serde::{Deserialize, Serialize};

/// Running mean, variance, minimum and maximum of columns (Welford's algorithm).
#[derive(Clone, Debug)]
pub struct ColumnStatistics {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
    min: Vec<f64>,
    max: Vec<f64>,
}

impl ColumnStatistics {
    /// Statistics over rows of `width` columns each.
    pub fn over<'a>(width: usize, rows: impl IntoIterator<Item = &'a [f64]>) -> Self {
        let mut statistics = Self {
            count: 0.0,
            mean: vec![0.0; width],
            squares: vec![0.0; width],
            min: vec![f64::INFINITY; width],
            max: vec![f64::NEG_INFINITY; width],
        };
        for row in rows {
            statistics.count += 1.0;
            for (column, value) in row.iter().enumerate().take(width) {
                let delta = value - statistics.mean[column];
                statistics.mean[column] += delta / statistics.count;
                statistics.squares[column] += delta * (value - statistics.mean[column]);
                statistics.min[column] = statistics.min[column].min(*value);
                statistics.max[column] = statistics.max[column].max(*value);
            }
        }
        statistics
    }

    fn standard_deviations(&self) -> Vec<f64> {
        self.squares.iter().map(|squares| (squares / self.count.max(1.0)).sqrt()).collect()
    }
}

/// A column-wise affine map with clipping: `clamp((x − offset) · factor, low, high)`, optionally rounded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    /// Subtracted from each column.
    pub offset: Vec<f64>,
    /// Multiplied with each column; 0 for a column that was constant in training.
    pub factor: Vec<f64>,
    /// Least output value.
    pub low: f64,
    /// Largest output value.
    pub high: f64,
    /// Whether outputs are rounded to whole numbers (grey levels), half to even.
    #[serde(default)]
    pub rounded: bool,
}

impl Scaler {
    /// Scales to mean 0 and standard deviation 1, clipped to ± `clip`.
    pub fn standard(statistics: &ColumnStatistics, clip: f64) -> Self {
        let factor = statistics.standard_deviations().into_iter().map(reciprocal).collect();
        Self { offset: statistics.mean.clone(), factor, low: -clip, high: clip, rounded: false }
    }

    /// Scales the minimum to 0 and the maximum to `top`, clipped. `rounded` with `top` = 255 gives the paper's grey
    /// levels.
    pub fn min_max(statistics: &ColumnStatistics, top: f64, rounded: bool) -> Self {
        let spans = statistics.max.iter().zip(&statistics.min).map(|(max, min)| max - min);
        let factor = spans.map(|span| top * reciprocal(span)).collect();
        Self { offset: statistics.min.clone(), factor, low: 0.0, high: top, rounded }
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        self.offset.len()
    }

    /// Whether the fields are consistent: equal widths, finite numbers, ordered bounds.
    pub fn is_sound(&self) -> bool {
        self.factor.len() == self.offset.len()
            && self.offset.iter().chain(&self.factor).all(|number| number.is_finite())
            && self.low < self.high
    }

    /// Appends a scaled row.
    pub fn extend(&self, row: &[f64], scaled: &mut Vec<f32>) {
        let affine = row.iter().zip(&self.offset).zip(&self.factor);
        let clipped = affine.map(|((value, offset), factor)| ((value - offset) * factor).clamp(self.low, self.high));
        // Two separate loops, because rounding prevents vectorisation.
        match self.rounded {
            true => scaled.extend(clipped.map(|value| value.round_ties_even() as f32)),
            false => scaled.extend(clipped.map(|value| value as f32)),
        }
    }
}

/// Scales targets to mean 0 and standard deviation 1 over the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StandardScaler {
    /// Mean of each target in its unit.
    pub mean: Vec<f64>,
    /// Standard deviation of each target in its unit.
    pub deviation: Vec<f64>,
}

impl StandardScaler {
    /// Fits on training rows.
    pub fn fit(statistics: &ColumnStatistics) -> Self {
        let deviation =
            statistics.standard_deviations().into_iter().map(|value| if value > 0.0 { value } else { 1.0 }).collect();
        Self { mean: statistics.mean.clone(), deviation }
    }

    /// Converts a value from its unit to the standardised scale.
    pub fn scale(&self, target: usize, value: f64) -> f64 {
        (value - self.mean[target]) / self.deviation[target]
    }

    /// Converts a standardised value to its unit.
    pub fn unscale(&self, target: usize, value: f64) -> f64 {
        value * self.deviation[target] + self.mean[target]
    }
}

/// 1/x, or 0 where a column does not vary beyond rounding.
fn reciprocal(value: f64) -> f64 {
    if value > 1e-12 { 1.0 / value } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics() -> ColumnStatistics {
        let rows: [&[f64]; 3] = [&[1.0, 5.0], &[2.0, 5.0], &[3.0, 5.0]];
        ColumnStatistics::over(2, rows)
    }

    fn scaled(scaler: &Scaler, row: [f64; 2]) -> Vec<f32> {
        let mut scaled = Vec::new();
        scaler.extend(&row, &mut scaled);
        scaled
    }

    #[test]
    fn standard_scaling_clips_and_ignores_constants() {
        let scaler = Scaler::standard(&statistics(), 6.0);
        assert_eq!(scaled(&scaler, [3.0, 7.0]), [1.224_744_9, 0.0]);
        assert_eq!(scaled(&scaler, [1e6, -7.0]), [6.0, 0.0]);
    }

    #[test]
    fn grey_levels_round_half_to_even() {
        let scaler = Scaler::min_max(&statistics(), 255.0, true);
        assert_eq!(scaled(&scaler, [2.0, 5.0]), [128.0, 0.0]);
        assert_eq!(scaled(&scaler, [-9.0, 5.0]), [0.0, 0.0]);
        assert_eq!(scaled(&scaler, [9.0, 5.0]), [255.0, 0.0]);
    }

    #[test]
    fn targets_round_trip() {
        let scaler = StandardScaler::fit(&statistics());
        assert!((scaler.unscale(0, scaler.scale(0, 2.7)) - 2.7).abs() < 1e-12);
        assert_eq!(scaler.deviation[1], 1.0);
    }
}
