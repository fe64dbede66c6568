//! How far a prediction can be trusted: its intervals, and whether the sample is in the domain of the model.
//!
//! All outputs (JSON, tables, the command line, the metrics) use it, so that they agree. The measurements are in
//! [`super::spec::calibration`]; here they are applied to a sample.

use std::fmt;
use std::str::FromStr;

use crate::domain::{Outputs, Sample, Specification, Target, most_probable};
use crate::model::bundle::Predicted;
use crate::model::spec::calibration::{Calibration, percentile};
use crate::model::spec::errors::Signals;
use crate::model::spec::levels::{CONFIDENCE_PERCENT, DEFAULT_CONFIDENCE};
use crate::model::spec::manifest::Manifest;
use crate::model::widen::widened;

/// A sample is out of domain if its novelty or disagreement is above this percentile of the held-out rows.
const LIMIT_PERCENT: usize = 99;
/// The same for the distance to the nearest measured kind of alloys. Held-out groups are often kinds of their own, so
/// their last percentiles say little about where knowledge ends.
const KIND_LIMIT_PERCENT: usize = 95;

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

/// What a user wants to know about the reliability of a prediction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrustOptions {
    /// Nominal coverage of the intervals.
    pub confidence: Confidence,
    /// Limits whose chance is asked for.
    pub specification: Specification,
}

/// The reliability of one prediction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trust {
    /// Lower and upper end for each target of a calibrated regression; `None` for a sample so far out that no error was
    /// measured there. Otherwise empty.
    pub intervals: Vec<Option<[f64; 2]>>,
    /// For each target, the chance that a test keeps its specified limits; `None` without limits, or if it is unknown.
    pub chances: Vec<Option<f64>>,
    /// The chance that a test keeps all specified limits; `None` without limits, or if it is unknown.
    pub chance_all: Option<f64>,
    /// Reasons why the sample is outside the training domain; empty if it is inside.
    pub reasons: Vec<String>,
    /// The model's limits that concern this prediction.
    pub warnings: Vec<String>,
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

    /// Whether the chance of a specification can be given.
    pub fn has_chances(&self) -> bool {
        self.calibration.as_ref().is_some_and(|calibration| calibration.errors.is_some())
    }

    /// The names of the percentiles that predictions have.
    pub fn percentile_columns(&self) -> Vec<&'static str> {
        let Some(calibration) = &self.calibration else { return Vec::new() };
        let novelty = (!calibration.novelty.is_empty()).then_some("novelty_percentile");
        let disagreement = (!calibration.disagreement.is_empty()).then_some("disagreement_percentile");
        novelty.into_iter().chain(disagreement).collect()
    }

    /// The reliability of a prediction. A sample is out of domain if a value or an amount is outside its training
    /// range, an element was not seen in training, its novelty or disagreement is above that of 99 % of the held-out
    /// rows, no error was measured so far from the training rows, or no alloy of its kind, or none of the kind and the
    /// predicted class, was measured.
    pub fn trust(&self, sample: &Sample, predicted: &Predicted, options: &TrustOptions) -> Trust {
        let mut reasons = sample.out_of_domain().to_vec();
        reasons.extend(self.kind_unknown(sample, predicted));
        let warnings = self.warnings(sample, predicted);
        let Some(calibration) = &self.calibration else { return Trust { reasons, warnings, ..Trust::default() } };
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
        let mut trust = Trust {
            reasons,
            warnings,
            novelty_percentile: novelty.and_then(|novelty| percentile(&calibration.novelty, novelty)),
            disagreement_percentile: predicted.disagreement.and_then(|own| percentile(&calibration.disagreement, own)),
            ..Trust::default()
        };
        if let (Outputs::Regression { targets }, true) = (&self.schema.outputs, self.has_intervals()) {
            self.add_intervals(&mut trust, calibration, targets, (predicted, seen), options);
        }
        trust
    }

    /// Adds intervals and chances, or the reason why there are none.
    fn add_intervals(
        &self,
        trust: &mut Trust,
        calibration: &Calibration,
        targets: &[Target],
        (predicted, seen): (&Predicted, bool),
        options: &TrustOptions,
    ) {
        let level = options.confidence.level();
        let ends = |value: f64, target: &Target, interval: [f64; 2]| cut(value, interval, target.physical_limits());
        let (Some(errors), Some(scaler)) = (&calibration.errors, &self.scaling.targets) else {
            let fixed = |(index, (target, value)): (usize, (&Target, &f64))| {
                let spread = predicted.input_spread.get(index).copied().unwrap_or(0.0);
                let half_width = widened(calibration.half_width(index, level)?, spread, level);
                Some(ends(*value, target, target.around(*value, half_width)))
            };
            trust.intervals = targets.iter().zip(&predicted.values).enumerate().map(fixed).collect();
            return;
        };
        let unseen = || "no error was measured with an element that was never seen in training".to_owned();
        if let Some(cause) = (!seen).then(unseen).or_else(|| errors.unreached(predicted.distance)) {
            trust.reasons.push(format!("no interval: {cause}"));
            trust.intervals = vec![None; targets.len()];
            trust.chances = vec![None; targets.len()];
            return;
        }
        let values: Vec<f64> =
            targets.iter().zip(&predicted.values).map(|(target, value)| target.scale.learned(*value)).collect();
        let Predicted { disagreement, distance, .. } = *predicted;
        let signals = Signals { values: &values, disagreement, distance, input_spread: &predicted.input_spread };
        let likely = errors.likely(&signals, scaler);
        let adaptive = |(index, (target, value)): (usize, (&Target, &f64))| {
            Some(ends(*value, target, errors.interval(index, target, *value, &likely, level)?))
        };
        trust.intervals = targets.iter().zip(&predicted.values).enumerate().map(adaptive).collect();
        let limits = options.specification.limits();
        if !limits.is_empty() {
            let chance = |output: usize| {
                let own = limits.iter().find(|limits| limits.output == output)?;
                errors.chance(std::slice::from_ref(own), targets, &likely)
            };
            trust.chances = (0..targets.len()).map(chance).collect();
            trust.chance_all = errors.chance(limits, targets, &likely);
        }
    }
}

impl Manifest {
    /// The limits that concern a prediction.
    fn warnings(&self, sample: &Sample, predicted: &Predicted) -> Vec<String> {
        let class = match &self.schema.outputs {
            Outputs::Classification { classes } => classes.get(most_probable(&predicted.values)).map(String::as_str),
            Outputs::Regression { .. } => None,
        };
        let concerned = self.limits.iter().filter(|limit| limit.concerns(sample, class));
        concerned.map(|limit| limit.text().to_owned()).collect()
    }

    /// Why no measured alloy speaks for a prediction: none is near, or none that is near can be of the predicted class.
    fn kind_unknown(&self, sample: &Sample, predicted: &Predicted) -> Option<String> {
        let nearest = self.kinds.as_ref()?.nearest(sample.composition())?;
        let (name, alloys, distance) = (nearest.kind.name(), nearest.kind.alloys, nearest.distance);
        let measured = self.calibration.as_ref().map_or(&[][..], |calibration| &calibration.kind_distance);
        if measured.get(KIND_LIMIT_PERCENT).is_some_and(|limit| distance > *limit) {
            return Some(format!(
                "no measured alloy of this kind: {distance:.0} of 100 atoms differ from the nearest ones measured ({name}, \
                 {alloys} alloys)"
            ));
        }
        let Outputs::Classification { classes } = &self.schema.outputs else { return None };
        let class = most_probable(&predicted.values);
        let (named, count) = (classes.get(class)?, nearest.may_be(class));
        (!nearest.supports(class)).then(|| {
            format!("no measured alloy of this kind is {named}: of the nearest ones ({name}, {alloys} alloys) {count} can be")
        })
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
