//! A regression of the sizes of errors: the logarithm of the mean absolute error as a linear function of some signals.
//!
//! It is the maximum likelihood of Laplace-distributed errors with a ridge (a gamma regression with a logarithmic
//! link). The loss is convex, so Newton's method with halved steps finds its only minimum.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

/// Most steps of Newton's method; it converges after about ten.
const STEPS: usize = 100;
/// A step that lowers the loss by less than this part ends the search.
const TOLERANCE: f64 = 1e-10;

/// One absolute error with its signals.
pub(super) struct Observation {
    pub(super) size: f64,
    pub(super) signals: Vec<f64>,
    pub(super) weight: f64,
}

/// The coefficients of the signals with the least loss. `ridge` has the penalty of each squared coefficient.
pub(super) fn regress(observations: &[Observation], ridge: &[f64]) -> Vec<f64> {
    let mut coefficients = vec![0.0; ridge.len()];
    let mut least = loss(observations, ridge, &coefficients);
    for _ in 0..STEPS {
        let Some(step) = newton_step(observations, ridge, &coefficients) else { break };
        let mut length = 1.0;
        let moved = loop {
            let next: Vec<f64> = coefficients.iter().zip(&step).map(|(own, step)| own - length * step).collect();
            let loss = loss(observations, ridge, &next);
            if loss < least || length < 1e-6 {
                break (next, loss);
            }
            length /= 2.0;
        };
        let gain = least - moved.1;
        if gain.is_nan() || gain <= 0.0 {
            break;
        }
        (coefficients, least) = moved;
        if gain < TOLERANCE * least.abs().max(1.0) {
            break;
        }
    }
    coefficients
}

/// The logarithm of the size that the coefficients predict.
fn log_size(signals: &[f64], coefficients: &[f64]) -> f64 {
    signals.iter().zip(coefficients).map(|(signal, own)| signal * own).sum()
}

fn loss(observations: &[Observation], ridge: &[f64], coefficients: &[f64]) -> f64 {
    let of = |own: &Observation| {
        let log_size = log_size(&own.signals, coefficients);
        own.weight * (log_size + own.size * (-log_size).exp())
    };
    let penalty: f64 = ridge.iter().zip(coefficients).map(|(ridge, own)| ridge * own * own).sum();
    observations.iter().map(of).sum::<f64>() + penalty
}

/// The inverse of the second derivatives times the first; `None` if they cannot be inverted.
fn newton_step(observations: &[Observation], ridge: &[f64], coefficients: &[f64]) -> Option<Vec<f64>> {
    let width = coefficients.len();
    let mut gradient = Mat::from_fn(width, 1, |row, _| 2.0 * ridge[row] * coefficients[row]);
    // A little more than the ridge, so that a signal without any variation does no harm.
    let mut curvature =
        Mat::from_fn(width, width, |row, column| if row == column { 2.0 * ridge[row] + 1e-9 } else { 0.0 });
    for own in observations {
        let ratio = own.size * (-log_size(&own.signals, coefficients)).exp();
        for (row, signal) in own.signals.iter().enumerate() {
            gradient[(row, 0)] += own.weight * (1.0 - ratio) * signal;
            for (column, other) in own.signals.iter().enumerate() {
                curvature[(row, column)] += own.weight * ratio * signal * other;
            }
        }
    }
    let step = curvature.llt(Side::Lower).ok()?.solve(&gradient);
    let step: Vec<f64> = (0..width).map(|row| step[(row, 0)]).collect();
    step.iter().all(|own| own.is_finite()).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovers_how_sizes_grow() {
        // Sizes e^(1 + 0.5 x) times a factor with mean 1.
        let observation = |index: usize| {
            let signal = index as f64 / 100.0 - 1.0;
            let factor = [0.2, 0.7, 1.4, 1.7][index % 4];
            Observation { size: (1.0 + 0.5 * signal).exp() * factor, signals: vec![1.0, signal], weight: 1.0 }
        };
        let observations: Vec<Observation> = (0..200).map(observation).collect();
        let found = regress(&observations, &[0.0, 0.0]);
        assert!((found[0] - 1.0).abs() < 0.02 && (found[1] - 0.5).abs() < 0.02, "{found:?}");
        let held = regress(&observations, &[0.0, 1e6]);
        assert!(held[1].abs() < 1e-3, "{held:?}");
    }

    #[test]
    fn odd_data_do_no_harm() {
        assert_eq!(regress(&[], &[1.0]), [0.0]);
        let same = |_| Observation { size: 0.0, signals: vec![1.0, 1.0], weight: 1.0 };
        assert!(regress(&(0..5).map(same).collect::<Vec<_>>(), &[0.1, 0.1]).iter().all(|own| own.is_finite()));
    }
}
