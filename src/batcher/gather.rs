//! Batches of short requests on a CPU: requests that became ready in the same turn of the runtime share a pass.
//!
//! The batch needs no thread. The first request of a turn spawns a task, which runs after everything that is ready
//! now and answers all requests gathered until then. With one client that is at once; under load the batch holds
//! every request whose bytes had arrived. A pass of a few samples costs less than waking another thread twice.

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

    /// Adds a job. The pass is a task of its own, so it runs even if the request that started it is dropped.
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
        // Tasks that are ready run first and may add to the batch.
        tokio::task::yield_now().await;
        let jobs = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        run(jobs, self.max_batch, &self.observer);
    }
}
