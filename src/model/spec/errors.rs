//! The model of the errors: how large the error of one prediction is likely to be, and how the errors of the properties
//! of one sample go together.
//!
//! A prediction of a hard sample needs a wider interval than that of an easy one. The size of an error is estimated
//! from four signals: how much the members of the ensemble disagree, the predicted value itself, and, beyond the
//! training data, the leverage of the inputs and how far they are outside their ranges. Held-out errors divided by their sizes are
//! alike for all samples, so their quantiles give intervals (locally adaptive conformal prediction). They are kept as
//! vectors, the properties of a row together, so that the chance of a whole specification needs no assumption of
//! independence. `train` fits the model; here it is applied.

use serde::{Deserialize, Serialize};

use crate::domain::{PropertyLimits, Target};
use crate::featurize::StandardScaler;
use crate::model::spec::levels::level_of;
use crate::model::spec::training_inputs::InputDistance;

/// Standardised predicted values are clipped to ± this. Beyond it the effect of a value is not measured on enough rows.
const MOST_DEVIATIONS: f64 = 1.5;
/// Added to a disagreement before its logarithm is taken, because members may agree exactly.
const LEAST_DISAGREEMENT: f64 = 0.01;
/// How many standard deviations outside the training range are as much as being inside, on a logarithmic scale.
const SMALL_EXCESS: f64 = 0.1;
/// The mean absolute value of a normal distribution of standard deviation 1.
const MEAN_ABSOLUTE: f64 = 0.798;
/// Fewer rows than this say nothing about a chance.
const LEAST_VECTORS: usize = 20;

/// The model of the errors of a regression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorModel {
    /// How the errors of each target depend on the signals.
    pub targets: Vec<TargetErrors>,
    /// Change of the logarithm of the size with that of the disagreement.
    pub disagreement: f64,
    /// Mean logarithm of the disagreement of held-out rows.
    pub mean_disagreement: f64,
    /// The 95th percentile of the leverage of held-out rows. Sizes grow with a leverage beyond it.
    pub usual_leverage: f64,
    /// Change of the logarithm of the size with that of the leverage, beyond the usual.
    pub leverage: f64,
    /// Change of the logarithm of the size with that of the distance outside the training ranges.
    pub excess: f64,
    /// Largest distance of a held-out row. No error was measured beyond it, so there is no interval.
    pub reach: Reach,
    /// Signed errors of held-out rows divided by their sizes: for each row one number for each target, `None` if it was
    /// not measured.
    pub vectors: Vec<Vec<Option<f32>>>,
}

/// How the errors of one target depend on the predicted value. All numbers are on the target's scale, divided by its
/// standard deviation over the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetErrors {
    /// Logarithm of the size at the mean value.
    pub size: f64,
    /// Change of the logarithm of the size with the predicted value.
    pub size_slope: f64,
    /// Mean signed error (measured minus predicted) at the mean value.
    pub shift: f64,
    /// Change of the mean signed error with the predicted value. It corrects the intervals of samples that were selected
    /// for their predictions: the highest predictions are, on average, too high.
    pub shift_slope: f64,
    /// Absolute errors divided by their sizes: quantiles for 50, 51 … 99 % confidence.
    pub quantiles: Vec<f64>,
}

/// How far from the training rows errors were measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    /// Largest leverage of a held-out row.
    pub leverage: f64,
    /// Largest distance of a held-out row outside the training ranges, in standard deviations.
    pub excess: f64,
}

/// The signals of one prediction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signals<'a> {
    /// Predicted values on the targets' scales.
    pub values: &'a [f64],
    /// Disagreement within the model.
    pub disagreement: Option<f64>,
    /// Distance of the inputs from the training rows.
    pub distance: Option<InputDistance>,
    /// Standard deviation of each value due to inputs that were estimated, on the targets' scales; empty if all inputs
    /// were given.
    pub input_spread: &'a [f64],
}

/// The likely errors of one prediction: for each target, on its scale, the middle and the size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LikelyErrors {
    /// Expected measured value.
    pub middle: Vec<f64>,
    /// Size of the error.
    pub size: Vec<f64>,
}

/// The standardised value of a prediction, as the error model uses it.
pub fn standardised(value: f64, output: usize, scaler: &StandardScaler) -> f64 {
    ((value - scaler.mean[output]) / scaler.deviation[output]).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
}

/// The logarithm of a disagreement.
pub fn log_disagreement(disagreement: Option<f64>) -> f64 {
    (disagreement.unwrap_or(0.0) + LEAST_DISAGREEMENT).ln()
}

impl ErrorModel {
    /// The two signals of a distance beyond the training data: logarithms, 0 for an ordinary sample.
    pub fn beyond(&self, distance: Option<InputDistance>) -> [f64; 2] {
        let Some(InputDistance { leverage, excess }) = distance else { return [0.0; 2] };
        let ratio = leverage / self.usual_leverage.max(1e-6);
        [ratio.max(1.0).ln(), (1.0 + excess / SMALL_EXCESS).ln()]
    }

    /// Why no error was measured as far out as this sample is; `None` if some were.
    pub fn unreached(&self, distance: Option<InputDistance>) -> Option<String> {
        let InputDistance { leverage, excess } = distance?;
        if excess > self.reach.excess {
            return Some(format!(
                "an input is {excess:.1} standard deviations outside its training range; errors were measured up to {:.1}",
                self.reach.excess
            ));
        }
        (leverage > self.reach.leverage).then(|| {
            format!(
                "the inputs are unlike those of the training rows (leverage {leverage:.1}); errors were measured up to {:.1}",
                self.reach.leverage
            )
        })
    }

    /// The likely errors of a prediction.
    pub fn likely(&self, signals: &Signals, scaler: &StandardScaler) -> LikelyErrors {
        let [leverage, excess] = self.beyond(signals.distance);
        let common = self.disagreement * (log_disagreement(signals.disagreement) - self.mean_disagreement)
            + self.leverage * leverage
            + self.excess * excess;
        let mut likely = LikelyErrors::default();
        for (output, (own, value)) in self.targets.iter().zip(signals.values).enumerate() {
            let (place, deviation) = (standardised(*value, output, scaler), scaler.deviation[output]);
            likely.middle.push(value + (own.shift + own.shift_slope * place) * deviation);
            let size = (own.size + own.size_slope * place + common).exp() * deviation;
            let of_inputs = signals.input_spread.get(output).map_or(0.0, |spread| spread * MEAN_ABSOLUTE);
            likely.size.push(size.hypot(of_inputs));
        }
        likely
    }

    /// The interval of one target at a confidence, in its unit. It contains the predicted value.
    pub fn interval(
        &self,
        output: usize,
        target: &Target,
        value: f64,
        likely: &LikelyErrors,
        confidence: f64,
    ) -> Option<[f64; 2]> {
        let half = level_of(&self.targets.get(output)?.quantiles, confidence)? * likely.size.get(output)?;
        let [low, high] = target.around(target.scale.in_unit(*likely.middle.get(output)?), half);
        Some([low.min(value), high.max(value)])
    }

    /// The chance that a test keeps all these limits: the share of held-out error vectors with which the prediction
    /// would keep them. It is never 0 or 1, because no number of rows shows that. `None` if too few rows were measured.
    pub fn chance(&self, limits: &[PropertyLimits], targets: &[Target], likely: &LikelyErrors) -> Option<f64> {
        let kept = |vector: &Vec<Option<f32>>| {
            let mut all = true;
            for limits in limits {
                let error = f64::from((*vector.get(limits.output)?)?);
                let measured = likely.middle.get(limits.output)? + error * likely.size.get(limits.output)?;
                all &= limits.hold(targets.get(limits.output)?.scale.in_unit(measured));
            }
            Some(all)
        };
        let outcomes: Vec<bool> = self.vectors.iter().filter_map(kept).collect();
        let successes = outcomes.iter().filter(|kept| **kept).count() as f64;
        (outcomes.len() >= LEAST_VECTORS).then(|| (successes + 0.5) / (outcomes.len() as f64 + 1.0))
    }

    /// Whether the numbers fit a model with this many targets.
    pub fn is_sound(&self, targets: usize) -> bool {
        let slopes = [self.disagreement, self.mean_disagreement, self.leverage, self.excess];
        let limits = [self.usual_leverage, self.reach.leverage, self.reach.excess];
        let sound = |own: &TargetErrors| {
            let numbers = [own.size, own.size_slope, own.shift, own.shift_slope];
            numbers.iter().all(|number| number.is_finite())
                && level_of(&own.quantiles, 0.99).is_some_and(f64::is_finite)
        };
        self.targets.len() == targets
            && self.targets.iter().all(sound)
            && slopes.iter().all(|number| number.is_finite())
            && limits.iter().all(|limit| limit.is_finite() && *limit >= 0.0)
            && self.vectors.iter().all(|vector| vector.len() == targets)
            && self.vectors.iter().flatten().flatten().all(|error| error.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Scale;
    use crate::model::spec::levels::half_widths;

    fn target() -> Target {
        Target { name: "hardness".to_owned(), unit: "HV".to_owned(), scale: Scale::Linear }
    }

    fn model() -> (ErrorModel, StandardScaler) {
        let own = |slope| TargetErrors {
            size: 0.1f64.ln(),
            size_slope: slope,
            shift: 0.0,
            shift_slope: -0.02,
            quantiles: half_widths((1..=99).map(|error| f64::from(error) / 50.0).collect()),
        };
        let vectors =
            (0..100).map(|row| (row as f32 - 49.5) / 25.0).map(|error| vec![Some(error), Some(-error)]).collect();
        let model = ErrorModel {
            targets: vec![own(0.2), own(0.0)],
            disagreement: 0.5,
            mean_disagreement: log_disagreement(Some(0.05)),
            usual_leverage: 2.0,
            leverage: 1.0,
            excess: 0.5,
            reach: Reach { leverage: 9.0, excess: 3.0 },
            vectors,
        };
        (model, StandardScaler { mean: vec![300.0, 300.0], deviation: vec![50.0, 50.0] })
    }

    #[test]
    fn errors_grow_with_the_signals() {
        let (model, scaler) = model();
        let size = |value: f64, disagreement: f64, (leverage, excess): (f64, f64)| {
            let values = [value, 300.0];
            let signals = Signals {
                values: &values,
                disagreement: Some(disagreement),
                distance: Some(InputDistance { leverage, excess }),
                ..Signals::default()
            };
            model.likely(&signals, &scaler).size[0]
        };
        assert!((size(300.0, 0.05, (1.0, 0.0)) - 5.0).abs() < 1e-9);
        assert!(size(350.0, 0.05, (1.0, 0.0)) > size(300.0, 0.05, (1.0, 0.0)));
        assert_eq!(size(500.0, 0.05, (1.0, 0.0)), size(900.0, 0.05, (1.0, 0.0)));
        assert!(size(300.0, 0.2, (1.0, 0.0)) > size(300.0, 0.05, (1.0, 0.0)));
        assert_eq!(size(300.0, 0.05, (2.0, 0.0)), size(300.0, 0.05, (0.1, 0.0)));
        assert!((size(300.0, 0.05, (4.0, 0.0)) / size(300.0, 0.05, (1.0, 0.0)) - 2.0).abs() < 1e-3);
        assert!((size(300.0, 0.05, (1.0, 0.3)) / size(300.0, 0.05, (1.0, 0.0)) - 2.0).abs() < 1e-9);
        let far = |leverage, excess| model.unreached(Some(InputDistance { leverage, excess }));
        assert_eq!((far(9.0, 3.0), model.unreached(None)), (None, None));
        assert!(far(9.1, 0.0).unwrap().contains("leverage 9.1") && far(1.0, 3.1).unwrap().contains("3.1 standard"));
    }

    #[test]
    fn high_predictions_are_corrected_for_selection_and_intervals_hold_the_value() {
        let (model, scaler) = model();
        let signals = Signals { values: &[375.0, 300.0], disagreement: Some(0.05), ..Signals::default() };
        let likely = model.likely(&signals, &scaler);
        assert!((likely.middle[0] - 373.5).abs() < 1e-9, "{likely:?}");
        let [low, high] = model.interval(0, &target(), 375.0, &likely, 0.9).unwrap();
        assert!(low < 375.0 && high > 375.0 && high - 373.5 - (373.5 - low) < 1e-9);
        assert_eq!(model.interval(2, &target(), 375.0, &likely, 0.9), None);
    }

    #[test]
    fn what_was_estimated_widens() {
        let (model, scaler) = model();
        let signals = Signals { values: &[300.0, 300.0], disagreement: Some(0.05), ..Signals::default() };
        let wider = Signals { input_spread: &[10.0, 0.0], ..signals };
        let (narrow, wide) = (model.likely(&signals, &scaler), model.likely(&wider, &scaler));
        assert!(wide.size[0] > narrow.size[0] && wide.size[1] == narrow.size[1]);
    }

    #[test]
    fn a_joint_chance_knows_that_errors_go_together() {
        let (model, scaler) = model();
        let signals = Signals { values: &[300.0, 300.0], disagreement: Some(0.05), ..Signals::default() };
        let likely = model.likely(&signals, &scaler);
        let targets = [target(), target()];
        let at_least = |output| PropertyLimits { output, min: 300.0, max: f64::INFINITY };
        let half = model.chance(&[at_least(0)], &targets, &likely).unwrap();
        assert!((half - 0.5).abs() < 1e-9);
        // The two errors have opposite signs, so both limits are never kept.
        let both = model.chance(&[at_least(0), at_least(1)], &targets, &likely).unwrap();
        assert!(both > 0.0 && both < 0.01, "{both}");
        let few = ErrorModel { vectors: model.vectors[..10].to_vec(), ..model };
        assert_eq!(few.chance(&[at_least(0)], &targets, &likely), None);
        assert!(few.is_sound(2) && !few.is_sound(1));
    }
}
