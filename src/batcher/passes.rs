//! Jobs, and how several of them share one pass.
//!
//! All threads that run passes use the same rules: a job whose client has gone is dropped, a pass holds jobs of one
//! model, and a failure affects only the jobs that cause it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Answers, DeviceHealth, Predict};
use crate::featurize::Features;
use crate::metrics::Metrics;
use crate::model::Predicted;

/// The priority of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// A few samples, for a waiting client.
    Short,
    /// A part of a long list.
    Bulk,
}

/// Receives the outcome of every pass.
pub(super) struct Observer {
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<DeviceHealth>,
}

/// How a job's answer arrives.
pub(super) type Answer = oneshot::Receiver<Result<Answers, String>>;

/// Samples that are answered together.
pub(super) struct Job {
    model: Arc<dyn Predict>,
    samples: Vec<Features>,
    submitted: Instant,
    reply: oneshot::Sender<Result<Answers, String>>,
    /// Room in the queue, released when the job is done or dropped.
    room: Option<OwnedSemaphorePermit>,
    pub(super) lane: Lane,
}

impl Job {
    pub(super) fn new(
        model: Arc<dyn Predict>,
        samples: Vec<Features>,
        submitted: Instant,
        room: Option<OwnedSemaphorePermit>,
        lane: Lane,
    ) -> (Self, Answer) {
        let (reply, answer) = oneshot::channel();
        (Self { model, samples, submitted, reply, room, lane }, answer)
    }

    pub(super) fn samples(&self) -> usize {
        self.samples.len()
    }

    /// Releases the room first, so that a client with an answer can send its next request at once.
    fn finish(self, answer: Result<Answers, String>) {
        drop(self.room);
        // An error means that the client has gone.
        let _ = self.reply.send(answer);
    }
}

/// Answers jobs, in as few passes as their models and `max_batch` allow.
pub(super) fn run(mut jobs: Vec<Job>, max_batch: usize, observer: &Observer) {
    // The clients of these have gone.
    jobs.retain(|job| !job.reply.is_closed());
    while let Some(first) = jobs.first() {
        let model = Arc::clone(&first.model);
        let mut count = 0;
        let (batch, rest): (Vec<Job>, _) = jobs.into_iter().partition(|job| {
            let joins = same(&job.model, &model) && (count == 0 || count + job.samples() <= max_batch);
            count += if joins { job.samples() } else { 0 };
            joins
        });
        batch.iter().for_each(|job| observer.metrics.waited(job.submitted.elapsed()));
        answer(&*model, batch, observer);
        jobs = rest;
    }
}

fn same(left: &Arc<dyn Predict>, right: &Arc<dyn Predict>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(left), Arc::as_ptr(right))
}

/// Runs one pass for several jobs. If it fails, each job gets a pass of its own, so that one bad request does not
/// fail the others.
fn answer(model: &dyn Predict, jobs: Vec<Job>, observer: &Observer) {
    let samples: Vec<&Features> = jobs.iter().flat_map(|job| &job.samples).collect();
    let start = Instant::now();
    let (outcome, took) = pass(model, &samples, observer);
    match outcome {
        Ok(values) => {
            let mut values = values.into_iter();
            for job in jobs {
                let values = values.by_ref().take(job.samples.len()).collect();
                let queue = start.saturating_duration_since(job.submitted);
                job.finish(Ok(Answers { values, queue, pass: took }));
            }
        }
        Err(error) if jobs.len() == 1 => jobs.into_iter().for_each(|job| job.finish(Err(error.clone()))),
        Err(_) => jobs.into_iter().for_each(|job| answer(model, vec![job], observer)),
    }
}

/// Runs one pass and measures its time. A panic counts as a failed pass.
pub(super) fn pass(
    model: &dyn Predict,
    samples: &[&Features],
    observer: &Observer,
) -> (Result<Vec<Predicted>, String>, Duration) {
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| model.predict(samples)))
        .unwrap_or_else(|_| Err("a panic in the pass".to_owned()))
        .and_then(|answers| match answers.len() == samples.len() {
            true => Ok(answers),
            false => Err(format!("{} answers for {} samples", answers.len(), samples.len())),
        });
    let took = start.elapsed();
    observer.metrics.passed(model.name(), samples.len(), took, outcome.is_ok());
    observer.health.passed(&outcome);
    (outcome, took)
}
