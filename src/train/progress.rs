//! How far a training is: what an observer sees of it, and the losses that it keeps.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

/// One step of one member.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Which member, from 0; `None` for one that is trained for calibration and not kept.
    pub member: Option<usize>,
    /// How many there are.
    pub members: usize,
    /// Steps done by this member.
    pub step: usize,
    /// Steps it will do.
    pub steps: usize,
    /// Loss of the step.
    pub loss: f64,
}

/// Sees the progress of all members, from their threads; `Break` stops the training.
pub type Observer<'a> = &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync);

/// Points kept of each loss curve.
const LOSS_POINTS: usize = 200;

/// The losses of a training, thinned while they come.
#[derive(Debug, Default)]
pub struct LossCurves(Mutex<Vec<Vec<(usize, f64)>>>);

impl LossCurves {
    /// Notes one step of one member.
    pub fn record(&self, progress: Progress) {
        let Some(member) = progress.member else { return };
        let stride = progress.steps.div_ceil(LOSS_POINTS).max(1);
        if progress.step.is_multiple_of(stride) || progress.step == 1 || progress.step == progress.steps {
            let mut curves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if curves.len() < progress.members {
                curves.resize(progress.members, Vec::new());
            }
            curves[member].push((progress.step, progress.loss));
        }
    }

    /// Steps and losses of each network. The other members are trained on other things than a loss: a kernel on a bound of
    /// a likelihood, which may be negative; trees on nothing that is reported.
    pub(in crate::train) fn curves(&self) -> Vec<Vec<(usize, f64)>> {
        let curves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let falls = |curve: &&Vec<(usize, f64)>| curve.len() > 1 && curve.iter().all(|(_, loss)| *loss >= 0.0);
        curves.iter().filter(falls).cloned().collect()
    }
}
