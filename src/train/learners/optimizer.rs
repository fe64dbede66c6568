//! AdamW with gradient clipping, warm-up and cosine schedule, weight decay for matrices only, and a moving average of
//! the parameters. (candle's AdamW hides its moments, also decays biases, and cannot clip.)

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

use crate::data::Training;
use crate::train::learners::adam::{Cosine, Moments, Schedule};

const BETAS: (f64, f64) = (0.9, 0.999);

struct Slot {
    name: String,
    variable: Var,
    /// `None` for running statistics, which are not trained.
    moments: Option<Moments>,
    average: Tensor,
}

/// The state of the optimizer.
pub(in crate::train) struct AdamW {
    slots: Vec<Slot>,
    step: usize,
    plan: Training,
    schedule: Schedule,
}

impl AdamW {
    pub(in crate::train) fn new(variables: BTreeMap<String, Var>, plan: &Training) -> Result<Self> {
        let slot = |(name, variable): (String, Var)| {
            let trained = !name.contains("running_");
            let moments = trained.then(|| Moments::of(&variable)).transpose()?;
            let average = variable.as_detached_tensor().copy()?;
            Ok(Slot { name, moments, average, variable })
        };
        let Training { learning_rate: peak, warmup, steps, .. } = *plan;
        let schedule = Schedule { peak, warmup, steps, cosine: Cosine::AfterWarmup };
        Ok(Self {
            slots: variables.into_iter().map(slot).collect::<Result<_>>()?,
            step: 0,
            plan: plan.clone(),
            schedule,
        })
    }

    /// One update from the gradients of a loss.
    pub(in crate::train) fn step(&mut self, gradients: &GradStore) -> Result<()> {
        let rate = self.schedule.rate(self.step);
        self.step += 1;
        let scale = self.clip(gradients)?;
        // Keep less of the average in early steps, so that the random start is forgotten quickly.
        let keep = self.plan.ema.min((1.0 + self.step as f64) / (10.0 + self.step as f64));
        for slot in &mut self.slots {
            if let (Some(moments), Some(gradient)) = (&mut slot.moments, gradients.get(slot.variable.as_tensor())) {
                // candle's gradients keep the graph that made them. Without `detach`, the moments would keep the graphs
                // of all steps alive.
                let gradient = (gradient.detach() * scale)?;
                let update = moments.update(&gradient, BETAS, self.step)?;
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

    /// The factor that reduces the norm of the gradients to the plan's limit.
    fn clip(&self, gradients: &GradStore) -> Result<f64> {
        let mut squares = 0.0;
        for slot in &self.slots {
            if let Some(gradient) = gradients.get(slot.variable.as_tensor()) {
                squares += f64::from(gradient.detach().sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        Ok((self.plan.clip_norm / (squares.sqrt() + 1e-12)).min(1.0))
    }

    /// Replaces the parameters by their averages and returns them by name.
    pub(in crate::train) fn finish(self) -> Result<BTreeMap<String, Tensor>> {
        let finish = |slot: Slot| {
            slot.variable.set(&slot.average)?;
            Ok((slot.name, slot.average))
        };
        self.slots.into_iter().map(finish).collect()
    }
}
