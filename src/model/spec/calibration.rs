//! Calibration of predictions, measured on rows held out in training: intervals for targets, a temperature for class
//! probabilities, and percentiles of novelty and disagreement. `train` measures it; here it is only read.

use serde::{Deserialize, Serialize};

use crate::model::spec::errors::ErrorModel;
use crate::model::spec::levels::{CONFIDENCE_PERCENT, level_of};
use crate::model::spec::training_inputs::TrainingInputs;

/// Result of cross-conformal calibration on held-out groups: every training row was predicted once by an ensemble that
/// had not seen its group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// `grouped`, or `random` if there were too few groups.
    pub protocol: String,
    /// Number of folds.
    pub folds: usize,
    /// For each target of a regression: half widths of the intervals of 50, 51 … 99 % confidence, on the target's scale
    /// (its unit, or the natural logarithm of a factor). A half width is the conformal quantile of the absolute errors.
    #[serde(default)]
    pub half_widths: Vec<Vec<f64>>,
    /// For a regression: how large the error of one prediction is likely to be. Older bundles have none; then all
    /// intervals of a target are as wide as `half_widths` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorModel>,
    /// The training inputs, to measure how far from them a sample is; with `errors` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<TrainingInputs>,
    /// For a classification: probabilities are raised to the power 1/temperature and scaled to sum to 1.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// For a classification: log loss and expected calibration error on held-out rows, before and after calibration.
    #[serde(default)]
    pub probabilities: Option<BeforeAfter>,
    /// Percentiles 0, 1 … 100 of the novelty of held-out rows; empty if no member measures it.
    #[serde(default)]
    pub novelty: Vec<f64>,
    /// Percentiles 0, 1 … 100 of the disagreement on held-out rows; empty for a single member.
    #[serde(default)]
    pub disagreement: Vec<f64>,
    /// Percentiles 0, 1 … 100 of the distance of held-out rows to the nearest measured kind; empty without kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kind_distance: Vec<f64>,
}

/// Scores of class probabilities on held-out rows before and after calibration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BeforeAfter {
    /// Log loss of the uncalibrated probabilities.
    pub log_loss_before: f64,
    /// Log loss with the temperature.
    pub log_loss_after: f64,
    /// Expected calibration error (10 bins) of the uncalibrated probabilities.
    pub ece_before: f64,
    /// Expected calibration error with the temperature.
    pub ece_after: f64,
}

impl Calibration {
    /// Half width of a target's interval, on its scale, the same for all samples. `None` if the target is not calibrated
    /// or the confidence is outside 0.5 to 0.99.
    pub fn half_width(&self, target: usize, confidence: f64) -> Option<f64> {
        level_of(self.half_widths.get(target)?, confidence)
    }

    /// Whether the numbers are consistent. A loaded bundle relies on it.
    pub fn is_sound(&self, targets: usize) -> bool {
        let levels = CONFIDENCE_PERCENT.1 - CONFIDENCE_PERCENT.0 + 1;
        let rising = |values: &[f64]| {
            values.iter().all(|value| value.is_finite() && *value >= 0.0) && values.windows(2).all(|w| w[0] <= w[1])
        };
        [0, targets].contains(&self.half_widths.len())
            && self.half_widths.iter().all(|widths| widths.len() == levels && rising(widths))
            && self.errors.as_ref().is_none_or(|errors| errors.is_sound(targets))
            && self.temperature.is_none_or(|temperature| temperature.is_finite() && temperature > 0.0)
            && [&self.novelty, &self.disagreement, &self.kind_distance]
                .into_iter()
                .all(|p| [0, 101].contains(&p.len()) && rising(p))
    }
}

/// How many of the percentiles lie below a value, 0 to 100; `None` if none were measured.
pub(in crate::model) fn percentile(percentiles: &[f64], value: f64) -> Option<u8> {
    let below = percentiles.iter().filter(|percentile| **percentile < value).count();
    (!percentiles.is_empty()).then_some(below.min(100) as u8)
}

/// Percentiles 0, 1 … 100.
pub fn percentiles(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    (0..=100).filter_map(|percent| values.get((last * percent + 50) / 100).copied()).collect()
}

/// p^(1/T), scaled to sum to 1.
pub fn apply_temperature(probabilities: &mut [f64], temperature: f64) {
    probabilities.iter_mut().for_each(|p| *p = p.max(1e-12).powf(1.0 / temperature));
    let sum: f64 = probabilities.iter().sum();
    probabilities.iter_mut().for_each(|p| *p /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::levels::half_widths;

    #[test]
    fn conformal_quantiles() {
        // 9 errors: 90 % is the ⌈10 · 0.9⌉ = 9th, 50 % the 5th.
        let errors: Vec<f64> = (1..=9).rev().map(f64::from).collect();
        let calibration = Calibration { half_widths: vec![half_widths(errors)], ..Calibration::default() };
        assert!(calibration.is_sound(1) && !calibration.is_sound(2));
        assert_eq!(calibration.half_width(0, 0.9), Some(9.0));
        assert_eq!(calibration.half_width(0, 0.5), Some(5.0));
        assert_eq!(calibration.half_width(0, 0.99), Some(9.0));
        assert_eq!(calibration.half_width(0, 0.995), None);
        assert_eq!(calibration.half_width(0, f64::NAN), None);
        assert_eq!(calibration.half_width(1, 0.9), None);
    }

    #[test]
    fn a_value_has_a_percentile() {
        let novelty = percentiles((0..201).map(|value| f64::from(value) / 200.0).collect());
        assert_eq!(percentile(&novelty, 0.0), Some(0));
        assert_eq!(percentile(&novelty, 2.0), Some(100));
        assert_eq!(percentile(&novelty, 0.505), Some(51));
        assert_eq!(percentile(&[], 0.5), None);
        let calibration = Calibration { disagreement: novelty.clone(), novelty, ..Calibration::default() };
        assert!(calibration.is_sound(3));
        assert!(!Calibration { disagreement: vec![0.0; 5], ..calibration }.is_sound(3));
    }

    #[test]
    fn temperature_flattens_and_keeps_the_sum() {
        let mut p = [0.9, 0.1, 0.0];
        apply_temperature(&mut p, 2.0);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((p[0] / p[1] - 3.0).abs() < 1e-9);
    }
}
