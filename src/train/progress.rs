//! Progress of a training, and its loss curves.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

/// One step of one member.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Index of the member, from 0; `None` for a member trained only for calibration.
    pub member: Option<usize>,
    /// Number of members.
    pub members: usize,
    /// Steps done by this member.
    pub step: usize,
    /// Steps of this member in total.
    pub steps: usize,
    /// Loss of the step.
    pub loss: f64,
}

/// Receives the progress of all members, from their threads. `Break` stops the training.
pub type Observer<'a> = &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync);

/// Largest number of points in a loss curve.
const LOSS_POINTS: usize = 200;

/// The loss curves of a training, thinned while recording.
#[derive(Debug, Default)]
pub struct LossCurves(Mutex<Vec<Vec<(usize, f64)>>>);

impl LossCurves {
    /// Records a step of a member.
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

    /// Loss curves of the networks. The other members have no comparable loss: a Gaussian process has a bound of a
    /// likelihood, which may be negative; trees report nothing.
    pub(in crate::train) fn curves(&self) -> Vec<Vec<(usize, f64)>> {
        let curves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let falls = |curve: &&Vec<(usize, f64)>| curve.len() > 1 && curve.iter().all(|(_, loss)| *loss >= 0.0);
        curves.iter().filter(falls).cloned().collect()
    }
}
