//! How far a prediction can be trusted: its intervals, and whether the sample is in the domain of the model.
//!
//! All outputs (JSON, tables, the command line, the metrics) use it, so that they agree. The measurements are in
//! [`super::spec::calibration`]; here they are applied to a sample.

use std::fmt;
use std::str::FromStr;

use crate::domain::{Outputs, Sample};
use crate::model::bundle::Predicted;
use crate::model::spec::calibration::{CONFIDENCE_PERCENT, DEFAULT_CONFIDENCE, percentile};
use crate::model::spec::manifest::Manifest;
use crate::model::widen::widened;

/// A sample is out of domain if its novelty or disagreement is above this percentile of the held-out rows.
const LIMIT_PERCENT: usize = 99;

/// Nominal coverage of an interval, from 0.5 to 0.99.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confidence(f64);

/// A confidence without a calibrated interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfidenceError;

impl fmt::Display for ConfidenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, largest) = Confidence::range();
        write!(f, "must be a number from {least} to {largest}")
    }
}

impl Confidence {
    /// A confidence within the calibrated range.
    ///
    /// # Errors
    /// `level` is outside the range.
    pub fn new(level: f64) -> Result<Self, ConfidenceError> {
        let (least, largest) = Self::range();
        if (least..=largest).contains(&level) { Ok(Self(level)) } else { Err(ConfidenceError) }
    }

    /// The coverage as a fraction.
    pub fn level(self) -> f64 {
        self.0
    }

    fn range() -> (f64, f64) {
        (CONFIDENCE_PERCENT.0 as f64 / 100.0, CONFIDENCE_PERCENT.1 as f64 / 100.0)
    }
}

impl Default for Confidence {
    fn default() -> Self {
        Self(DEFAULT_CONFIDENCE)
    }
}

impl FromStr for Confidence {
    type Err = ConfidenceError;

    fn from_str(text: &str) -> Result<Self, ConfidenceError> {
        text.trim().parse().map_err(|_| ConfidenceError).and_then(Self::new)
    }
}

/// The reliability of one prediction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trust {
    /// Lower and upper end for each target of a calibrated regression; otherwise empty.
    pub intervals: Vec<[f64; 2]>,
    /// Reasons why the sample is outside the training domain; empty if it is inside.
    pub reasons: Vec<String>,
    /// The percentage of held-out training rows with a lower novelty than this sample, rounded up. `None` if unknown,
    /// as for a sample with an element that was not seen in training.
    pub novelty_percentile: Option<u8>,
    /// The percentage of held-out training rows with a lower disagreement, rounded up. `None` for a single member.
    pub disagreement_percentile: Option<u8>,
}

impl Trust {
    /// Whether the sample is in the domain of the model.
    pub fn in_domain(&self) -> bool {
        self.reasons.is_empty()
    }

    /// The percentiles for [`Manifest::percentile_columns`]; `None` if a sample has none.
    pub fn percentiles(&self, manifest: &Manifest) -> impl Iterator<Item = Option<u8>> {
        manifest.percentile_columns().into_iter().map(|column| match column {
            "novelty_percentile" => self.novelty_percentile,
            _ => self.disagreement_percentile,
        })
    }
}

impl Manifest {
    /// Whether predictions have intervals.
    pub fn has_intervals(&self) -> bool {
        self.calibration.as_ref().is_some_and(|calibration| !calibration.half_widths.is_empty())
    }

    /// The names of the percentiles that predictions have.
    pub fn percentile_columns(&self) -> Vec<&'static str> {
        let Some(calibration) = &self.calibration else { return Vec::new() };
        let novelty = (!calibration.novelty.is_empty()).then_some("novelty_percentile");
        let disagreement = (!calibration.disagreement.is_empty()).then_some("disagreement_percentile");
        novelty.into_iter().chain(disagreement).collect()
    }

    /// The reliability of a prediction. A sample is out of domain if a value or an amount is outside its training
    /// range, an element was not seen in training, or its novelty or disagreement is above that of 99 % of the held-out
    /// rows.
    pub fn trust(&self, sample: &Sample, predicted: &Predicted, confidence: Confidence) -> Trust {
        let mut reasons = sample.out_of_domain().to_vec();
        let Some(calibration) = &self.calibration else { return Trust { reasons, ..Trust::default() } };
        let beyond = |measured: &[f64], value: f64| measured.get(LIMIT_PERCENT).is_some_and(|limit| value > *limit);
        let far = predicted.novelty.is_some_and(|novelty| beyond(&calibration.novelty, novelty));
        if far {
            reasons.push(format!(
                "unlike the training data: farther from it than {LIMIT_PERCENT} % of held-out rows were"
            ));
        }
        if predicted.disagreement.is_some_and(|own| beyond(&calibration.disagreement, own)) {
            reasons.push(format!("the model's parts disagree more than on {LIMIT_PERCENT} % of held-out rows"));
        }
        // An element that was not seen is not a feature, so the distance ignores it and can only be too small.
        let seen = self.schema.composition.knows(sample.composition());
        let novelty = predicted.novelty.filter(|_| far || seen);
        let intervals = match &self.schema.outputs {
            Outputs::Classification { .. } => Vec::new(),
            Outputs::Regression { targets } => targets
                .iter()
                .zip(&predicted.values)
                .enumerate()
                .filter_map(|(index, (target, value))| {
                    let half_width = calibration.half_width(index, confidence.level())?;
                    let spread = predicted.input_spread.get(index).copied().unwrap_or(0.0);
                    let half_width = widened(half_width, spread, confidence.level());
                    Some(cut(*value, target.around(*value, half_width), target.physical_limits()))
                })
                .collect(),
        };
        Trust {
            intervals,
            reasons,
            novelty_percentile: novelty.and_then(|novelty| percentile(&calibration.novelty, novelty)),
            disagreement_percentile: predicted.disagreement.and_then(|own| percentile(&calibration.disagreement, own)),
        }
    }
}

/// Cuts the ends of an interval to the physical limits. If the value itself is beyond a limit, that end stays, because
/// an interval must contain its value.
fn cut(value: f64, [low, high]: [f64; 2], (least, largest): (Option<f64>, Option<f64>)) -> [f64; 2] {
    let low = least.filter(|least| *least <= value).map_or(low, |least| low.max(least));
    let high = largest.filter(|largest| *largest >= value).map_or(high, |largest| high.min(largest));
    [low, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_has_a_range() {
        for level in [0.5, 0.8, 0.99] {
            assert_eq!(Confidence::new(level).map(Confidence::level), Ok(level));
        }
        for level in [0.0, 0.49, 0.991, 1.0, 90.0, -0.9, f64::NAN, f64::INFINITY] {
            assert_eq!(Confidence::new(level), Err(ConfidenceError), "{level}");
        }
        assert_eq!(" 0.8".parse::<Confidence>(), Confidence::new(0.8));
        for text in ["", "NaN", "inf", "ninety", "0,9"] {
            assert_eq!(text.parse::<Confidence>(), Err(ConfidenceError), "{text}");
        }
        assert_eq!(ConfidenceError.to_string(), "must be a number from 0.5 to 0.99");
        assert_eq!(Confidence::new(DEFAULT_CONFIDENCE), Ok(Confidence::default()));
    }

    #[test]
    fn ends_are_physical_and_hold_the_value() {
        let percent = (Some(0.0), Some(100.0));
        let cut = |value, limits| cut(value, [value - 10.0, value + 10.0], limits);
        assert_eq!(cut(50.0, percent), [40.0, 60.0]);
        assert_eq!(cut(4.0, percent), [0.0, 14.0]);
        assert_eq!(cut(95.0, percent), [85.0, 100.0]);
        assert_eq!(cut(-2.0, percent), [-12.0, 8.0]);
        assert_eq!(cut(4.0, (None, None)), [-6.0, 14.0]);
    }
}
