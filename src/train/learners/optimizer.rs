//! AdamW with decay on matrices only, gradient clipping, warm-up and cosine, and an averaged copy.
//!
//! Its own because candle's AdamW hides its moments, decays biases too and cannot clip.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

use crate::data::Training;

const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;

struct Slot {
    name: String,
    variable: Var,
    /// First and second moment; `None` for running statistics, which are not trained.
    moments: Option<(Tensor, Tensor)>,
    average: Tensor,
}

/// The optimizer's whole state.
pub(in crate::train) struct AdamW {
    slots: Vec<Slot>,
    step: usize,
    plan: Training,
}

impl AdamW {
    pub(in crate::train) fn new(variables: BTreeMap<String, Var>, plan: &Training) -> Result<Self> {
        let slot = |(name, variable): (String, Var)| {
            let trained = !name.contains("running_");
            let moments =
                trained.then(|| Ok::<_, candle_core::Error>((variable.zeros_like()?, variable.zeros_like()?)));
            let average = variable.as_detached_tensor().copy()?;
            Ok(Slot { name, moments: moments.transpose()?, average, variable })
        };
        Ok(Self { slots: variables.into_iter().map(slot).collect::<Result<_>>()?, step: 0, plan: plan.clone() })
    }

    /// One update from the gradients of a loss.
    pub(in crate::train) fn step(&mut self, gradients: &GradStore) -> Result<()> {
        let rate = learning_rate(&self.plan, self.step);
        self.step += 1;
        let scale = self.clip(gradients)?;
        let corrections = (1.0 - BETAS.0.powi(self.step as i32), 1.0 - BETAS.1.powi(self.step as i32));
        // The average forgets its random start quickly: early steps weigh more than the decay says.
        let keep = self.plan.ema.min((1.0 + self.step as f64) / (10.0 + self.step as f64));
        for slot in &mut self.slots {
            if let (Some(moments), Some(gradient)) = (&mut slot.moments, gradients.get(slot.variable.as_tensor())) {
                // candle's gradients of variables remember how they were made: kept in the moments, they would
                // hold every step's graph alive.
                let gradient = (gradient.detach() * scale)?;
                moments.0 = ((&moments.0 * BETAS.0)? + (&gradient * (1.0 - BETAS.0))?)?;
                moments.1 = ((&moments.1 * BETAS.1)? + (gradient.sqr()? * (1.0 - BETAS.1))?)?;
                let size = ((&moments.1 / corrections.1)?.sqrt()? + EPSILON)?;
                let update = ((&moments.0 / corrections.0)? / size)?;
                let decay = if slot.variable.rank() >= 2 { 1.0 - rate * self.plan.weight_decay } else { 1.0 };
                let now = slot.variable.as_detached_tensor();
                slot.variable.set(&((now * decay)? - (update * rate)?)?)?;
            }
            let now = slot.variable.as_detached_tensor();
            slot.average = match slot.moments {
                Some(_) => ((&slot.average * keep)? + (now * (1.0 - keep))?)?,
                None => now.copy()?,
            };
        }
        Ok(())
    }

    /// The factor that brings the gradients' norm down to the plan's bound.
    fn clip(&self, gradients: &GradStore) -> Result<f64> {
        let mut squares = 0.0;
        for slot in &self.slots {
            if let Some(gradient) = gradients.get(slot.variable.as_tensor()) {
                squares += f64::from(gradient.detach().sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        Ok((self.plan.clip_norm / (squares.sqrt() + 1e-12)).min(1.0))
    }

    /// Puts the averaged parameters in place and gives them out by name.
    pub(in crate::train) fn finish(self) -> Result<BTreeMap<String, Tensor>> {
        let finish = |slot: Slot| {
            slot.variable.set(&slot.average)?;
            Ok((slot.name, slot.average))
        };
        self.slots.into_iter().map(finish).collect()
    }
}

/// Linear warm-up to the peak, then a cosine to 0.
fn learning_rate(plan: &Training, step: usize) -> f64 {
    if step < plan.warmup {
        return plan.learning_rate * (step + 1) as f64 / plan.warmup as f64;
    }
    let progress = (step - plan.warmup) as f64 / (plan.steps.saturating_sub(plan.warmup)).max(1) as f64;
    plan.learning_rate * 0.5 * (1.0 + (PI * progress.min(1.0)).cos())
}
