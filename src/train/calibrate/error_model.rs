//! Fits the model of the errors (see [`ErrorModel`]) to held-out rows.
//!
//! Folds show how errors depend on the disagreement and on the predicted value; regions show how they grow beyond the
//! training data. The two are fitted one after the other, so that extrapolation has no influence on the intervals of
//! ordinary samples. Signals, clips and ridges were chosen on the calibration of splits 0 to 3 (docs/accuracy.md).

use crate::featurize::StandardScaler;
use crate::model::{
    ErrorModel, InputDistance, Reach, Signals, TargetErrors, half_widths, log_disagreement, percentiles, standardised,
};
use crate::train::calibrate::size_regression::{Observation, regress};

/// Fewer rows than this are too few for a model of the errors.
const LEAST_ROWS: usize = 30;
/// Penalty of the slope of the disagreement, and of the slope of the value that all targets share.
const COMMON_RIDGE: f64 = 2.0;
/// Penalty of how far the slope of one target's value is from the shared one.
const OWN_RIDGE: f64 = 20.0;
/// Penalty of the slopes beyond the training data.
const BEYOND_RIDGE: f64 = 1.0;
/// Penalty of the shift and its slope, in rows.
const SHIFT_RIDGE: f64 = 20.0;
/// Larger errors than those of this part of the rows, at each end, are cut for the shift.
const CUT: f64 = 0.02;
/// Up to where a leverage is usual, as a percentile of held-out rows.
const USUAL_PERCENT: usize = 95;
/// Number of error vectors to keep.
const MOST_VECTORS: usize = 1000;

/// A held-out row: numbers on the targets' scales.
pub(super) struct Row {
    pub(super) predicted: Vec<f64>,
    pub(super) measured: Vec<Option<f64>>,
    pub(super) disagreement: Option<f64>,
    pub(super) distance: Option<InputDistance>,
}

impl Row {
    fn signals(&self) -> Signals<'_> {
        let Self { disagreement, distance, .. } = *self;
        Signals { values: &self.predicted, disagreement, distance, input_spread: &[] }
    }

    /// Signed errors of the measured targets: the target, its standardised prediction, its standardised error.
    fn errors<'a>(&'a self, scaler: &'a StandardScaler) -> impl Iterator<Item = (usize, f64, f64)> + 'a {
        self.measured.iter().zip(&self.predicted).enumerate().filter_map(|(output, (measured, predicted))| {
            let error = ((*measured)? - predicted) / scaler.deviation[output];
            Some((output, standardised(*predicted, output, scaler), error))
        })
    }
}

/// The model of the errors of these rows; `None` if there are too few. `folds` are rows like the training data, each
/// list of `regions` has the rows of one region.
pub(super) fn fit_errors(folds: &[Row], regions: &[Vec<Row>], scaler: &StandardScaler) -> Option<ErrorModel> {
    let outputs = scaler.mean.len();
    let measured = |output: usize| folds.iter().filter(|row| row.measured[output].is_some()).count();
    if (0..outputs).any(|output| measured(output) < LEAST_ROWS) {
        return None;
    }
    let leverages = folds.iter().filter_map(|row| Some(row.distance?.leverage)).collect();
    let logs = folds.iter().map(|row| log_disagreement(row.disagreement));
    let all = || folds.iter().chain(regions.iter().flatten()).filter_map(|row| row.distance);
    let largest = |of: fn(&InputDistance) -> f64| all().map(|distance| of(&distance)).fold(0.0, f64::max);
    let mut model = ErrorModel {
        targets: (0..outputs).map(|output| shift(folds, output, scaler)).collect(),
        disagreement: 0.0,
        mean_disagreement: logs.sum::<f64>() / folds.len() as f64,
        usual_leverage: percentiles(leverages).get(USUAL_PERCENT).copied().unwrap_or(0.0),
        leverage: 0.0,
        excess: 0.0,
        reach: Reach { leverage: largest(|own| own.leverage), excess: largest(|own| own.excess) },
        vectors: Vec::new(),
    };
    fit_sizes(&mut model, folds, scaler);
    fit_beyond(&mut model, folds, regions, scaler);
    let vectors: Vec<Vec<Option<f64>>> = folds.iter().map(|row| vector(&model, row, scaler)).collect();
    for (output, own) in model.targets.iter_mut().enumerate() {
        own.quantiles = half_widths(vectors.iter().filter_map(|vector| vector[output].map(f64::abs)).collect());
    }
    let stride = vectors.len().div_ceil(MOST_VECTORS).max(1);
    let kept = |error: f64| ((error * 1000.0).round() / 1000.0) as f32;
    model.vectors = vectors
        .into_iter()
        .step_by(stride)
        .map(|vector| vector.into_iter().map(|error| error.map(kept)).collect())
        .collect();
    Some(model)
}

/// The mean signed error as a linear function of the predicted value, by least squares with a ridge.
fn shift(folds: &[Row], output: usize, scaler: &StandardScaler) -> TargetErrors {
    let mut pairs: Vec<(f64, f64)> = folds
        .iter()
        .flat_map(|row| row.errors(scaler).filter(|(own, ..)| *own == output).map(|(_, value, error)| (value, error)))
        .collect();
    let mut errors: Vec<f64> = pairs.iter().map(|(_, error)| *error).collect();
    errors.sort_by(f64::total_cmp);
    let at = |part: f64| errors.get(((errors.len().max(1) - 1) as f64 * part).round() as usize).copied().unwrap_or(0.0);
    let (least, largest) = (at(CUT), at(1.0 - CUT));
    pairs.iter_mut().for_each(|(_, error)| *error = error.clamp(least, largest));
    let sum = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let (count, value, square) = (pairs.len() as f64 + SHIFT_RIDGE, sum(|p| p.0), sum(|p| p.0 * p.0) + SHIFT_RIDGE);
    let (error, product) = (sum(|p| p.1), sum(|p| p.0 * p.1));
    let determinant = count * square - value * value;
    TargetErrors {
        size: 0.0,
        size_slope: 0.0,
        shift: (error * square - product * value) / determinant,
        shift_slope: (count * product - value * error) / determinant,
        quantiles: Vec::new(),
    }
}

/// Fits how sizes depend on the disagreement and on the predicted values.
fn fit_sizes(model: &mut ErrorModel, folds: &[Row], scaler: &StandardScaler) {
    // Columns: the size of each target, the disagreement, the slope of the value that all targets share, and what each
    // target's slope differs from it.
    let outputs = model.targets.len();
    let mut observations = Vec::new();
    for row in folds {
        let disagreement = log_disagreement(row.disagreement) - model.mean_disagreement;
        for (output, value, error) in row.errors(scaler) {
            let own = &model.targets[output];
            let mut signals = vec![0.0; 2 * outputs + 2];
            signals[output] = 1.0;
            signals[outputs] = disagreement;
            signals[outputs + 1] = value;
            signals[outputs + 2 + output] = value;
            let size = (error - own.shift - own.shift_slope * value).abs();
            observations.push(Observation { size, signals, weight: 1.0 });
        }
    }
    let mut ridge = vec![0.0; outputs];
    ridge.extend([COMMON_RIDGE; 2]);
    ridge.extend(vec![OWN_RIDGE; outputs]);
    let found = regress(&observations, &ridge);
    model.disagreement = found[outputs];
    for (output, own) in model.targets.iter_mut().enumerate() {
        (own.size, own.size_slope) = (found[output], found[outputs + 1] + found[outputs + 2 + output]);
    }
}

/// Fits how sizes grow beyond the training data. Every region has the same weight. A slope below 0 is set to 0: far
/// from the data nothing becomes more certain.
fn fit_beyond(model: &mut ErrorModel, folds: &[Row], regions: &[Vec<Row>], scaler: &StandardScaler) {
    let outputs = model.targets.len();
    let mut means = vec![(0.0, 0.0); outputs];
    for row in folds {
        for (mean, error) in means.iter_mut().zip(vector(model, row, scaler)) {
            let Some(error) = error else { continue };
            *mean = (mean.0 + error.abs(), mean.1 + 1.0);
        }
    }
    let total: usize = regions.iter().map(Vec::len).sum();
    let mut observations = Vec::new();
    for region in regions {
        let weight = total as f64 / (regions.len() * region.len()) as f64;
        for row in region {
            let signals = model.beyond(row.distance).to_vec();
            for (error, (sum, count)) in vector(model, row, scaler).into_iter().zip(&means) {
                let Some(error) = error.filter(|_| *sum > 0.0) else { continue };
                observations.push(Observation { size: error.abs() * count / sum, signals: signals.clone(), weight });
            }
        }
    }
    let mut ridge = [BEYOND_RIDGE; 2];
    let mut slopes = regress(&observations, &ridge);
    if let Some(negative) = slopes.iter().position(|slope| *slope < 0.0) {
        // With a large penalty the slope stays at 0, and the other one is fitted alone.
        ridge[negative] = 1e12;
        slopes = regress(&observations, &ridge);
    }
    (model.leverage, model.excess) = (slopes[0].max(0.0), slopes[1].max(0.0));
}

/// Signed errors of a row divided by their sizes.
fn vector(model: &ErrorModel, row: &Row, scaler: &StandardScaler) -> Vec<Option<f64>> {
    let likely = model.likely(&row.signals(), scaler);
    let errors = row.measured.iter().zip(likely.middle.iter().zip(&likely.size));
    errors.map(|(measured, (middle, size))| Some(((*measured)? - middle) / size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors with alternating signs that grow with the disagreement, and tenfold in a region of high leverage.
    fn row(index: usize, leverage: f64, factor: f64) -> Row {
        let predicted = 300.0 + (index % 21) as f64 * 10.0;
        let disagreement = 0.02 * (1.0 + (index % 7) as f64);
        let error = factor * disagreement * 100.0 * [0.4, -0.8, 1.2, -1.6][index % 4];
        Row {
            predicted: vec![predicted],
            measured: vec![Some(predicted + error)],
            disagreement: Some(disagreement),
            distance: Some(InputDistance { leverage, excess: 0.0 }),
        }
    }

    fn fitted(folds: usize) -> Option<ErrorModel> {
        let folds: Vec<Row> = (0..folds).map(|index| row(index, 1.0 + (index % 5) as f64 / 10.0, 1.0)).collect();
        let region = (0..60).map(|index| row(index, 6.0, 10.0)).collect();
        fit_errors(&folds, &[region], &StandardScaler { mean: vec![400.0], deviation: vec![60.0] })
    }

    #[test]
    fn sizes_follow_disagreement_and_grow_beyond_the_data() {
        let model = fitted(400).unwrap();
        assert!(model.is_sound(1));
        assert!((0.7..1.2).contains(&model.disagreement), "{model:?}");
        // Tenfold at 6.0 / 1.4 of the limit: ln 10 / ln 4.3 = 1.6.
        assert!((1.2..1.8).contains(&model.leverage), "{}", model.leverage);
        assert_eq!((model.excess, model.reach), (0.0, Reach { leverage: 6.0, excess: 0.0 }));
        assert_eq!(model.vectors.len(), 400);
    }

    #[test]
    fn few_rows_give_no_model() {
        assert_eq!(fitted(LEAST_ROWS - 1), None);
        assert!(fitted(LEAST_ROWS).is_some());
        let scaler = StandardScaler { mean: vec![400.0], deviation: vec![60.0] };
        let without = (0..40).map(|index| Row { distance: None, disagreement: None, ..row(index, 1.0, 1.0) });
        let model = fit_errors(&without.collect::<Vec<_>>(), &[], &scaler).unwrap();
        assert!(model.is_sound(1) && model.leverage == 0.0);
    }
}
