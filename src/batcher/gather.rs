//! Short requests on a CPU: those that became ready in the same turn of the runtime share a pass.
//!
//! Its own because it is a batch without a thread of its own: the first request of a turn leaves a task behind everything
//! that is ready to run, and when its turn comes it answers whatever has gathered. With one client that is at once; under
//! load it is everyone whose bytes had arrived. A pass of a few samples costs less than waking another thread twice.

use std::sync::{Arc, Mutex, PoisonError};

use super::passes::{Job, Observer, run};

pub(super) struct Gather {
    waiting: Mutex<Vec<Job>>,
    max_batch: usize,
    observer: Arc<Observer>,
}

impl Gather {
    pub(super) fn new(max_batch: usize, observer: Arc<Observer>) -> Self {
        Self { waiting: Mutex::default(), max_batch, observer }
    }

    /// Adds a job. Its answer does not depend on whoever adds it: the pass is a task of its own.
    pub(super) fn add(self: &Arc<Self>, job: Job) {
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push(job);
            waiting.len() == 1
        };
        if first {
            tokio::spawn(Arc::clone(self).pass());
        }
    }

    async fn pass(self: Arc<Self>) {
        // Whoever is ready to run goes first, and may add to the batch.
        tokio::task::yield_now().await;
        let jobs = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        run(jobs, self.max_batch, &self.observer);
    }
}
