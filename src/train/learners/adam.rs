//! Adam's moments and its learning rate schedule, for networks and Gaussian processes.

use std::f64::consts::PI;

use candle_core::{Result, Tensor};

/// Avoids a division by 0.
const EPSILON: f64 = 1e-8;

/// First and second moment of a parameter's gradient.
pub(in crate::train) struct Moments {
    first: Tensor,
    second: Tensor,
}

impl Moments {
    /// The initial moments of a parameter.
    pub(in crate::train) fn of(parameter: &Tensor) -> Result<Self> {
        Ok(Self { first: parameter.zeros_like()?, second: parameter.zeros_like()? })
    }

    /// Updates the moments with the gradient of step number `age`, counted from 1, and returns the direction to
    /// subtract. `betas`: decay factors of the two moments.
    pub(in crate::train) fn update(&mut self, gradient: &Tensor, betas: (f64, f64), age: usize) -> Result<Tensor> {
        let age = age as i32;
        self.first = ((&self.first * betas.0)? + (gradient * (1.0 - betas.0))?)?;
        self.second = ((&self.second * betas.1)? + (gradient.sqr()? * (1.0 - betas.1))?)?;
        let size = ((&self.second / (1.0 - betas.1.powi(age)))?.sqrt()? + EPSILON)?;
        (&self.first / (1.0 - betas.0.powi(age)))? / size
    }
}

/// Linear warm-up to a peak, then a cosine down to 0.
#[derive(Clone, Copy, Debug)]
pub(in crate::train) struct Schedule {
    pub(in crate::train) peak: f64,
    /// Number of warm-up steps.
    pub(in crate::train) warmup: usize,
    /// Total number of steps.
    pub(in crate::train) steps: usize,
    pub(in crate::train) cosine: Cosine,
}

/// Where the cosine begins.
#[derive(Clone, Copy, Debug)]
pub(in crate::train) enum Cosine {
    /// After the warm-up.
    AfterWarmup,
    /// At the first step; the warm-up is an additional factor.
    AtOnce,
}

impl Schedule {
    /// The learning rate of a step, counted from 0.
    pub(in crate::train) fn rate(&self, step: usize) -> f64 {
        let Self { peak, warmup, steps, cosine } = *self;
        match cosine {
            Cosine::AfterWarmup if step < warmup => peak * (step + 1) as f64 / warmup as f64,
            Cosine::AfterWarmup => {
                let progress = (step - warmup) as f64 / (steps.saturating_sub(warmup)).max(1) as f64;
                peak * 0.5 * (1.0 + (PI * progress.min(1.0)).cos())
            }
            Cosine::AtOnce => {
                let warm = ((step + 1) as f64 / warmup as f64).min(1.0);
                warm * peak * 0.5 * (1.0 + (PI * step as f64 / steps as f64).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_rises_to_its_peak_and_falls_to_nothing() {
        let after = Schedule { peak: 2.0, warmup: 4, steps: 12, cosine: Cosine::AfterWarmup };
        let rates: Vec<f64> = (0..12).map(|step| after.rate(step)).collect();
        assert_eq!(rates[..5], [0.5, 1.0, 1.5, 2.0, 2.0]);
        assert!(rates[4..].windows(2).all(|pair| pair[1] < pair[0]) && after.rate(12) < 1e-12);
        let at_once = Schedule { cosine: Cosine::AtOnce, ..after };
        assert!(at_once.rate(0) == 0.5 && at_once.rate(3) < 2.0 && at_once.rate(12) < 1e-12);
    }
}
