//! Jobs, and how several of them become one pass.
//!
//! Its own because everyone who runs passes does it alike: what nobody waits for is dropped, a pass takes the jobs of
//! one model, and what fails costs only those whose fault it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Answers, DeviceHealth, Predict};
use crate::featurize::Features;
use crate::metrics::Metrics;
use crate::model::Predicted;

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// A few samples: someone waits for them.
    Short,
    /// A part of many.
    Bulk,
}

/// Who is told of every pass.
pub(super) struct Observer {
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<DeviceHealth>,
}

/// What a job gets.
pub(super) type Answer = oneshot::Receiver<Result<Answers, String>>;

/// Samples that are answered together.
pub(super) struct Job {
    model: Arc<dyn Predict>,
    samples: Vec<Features>,
    submitted: Instant,
    reply: oneshot::Sender<Result<Answers, String>>,
    /// Room in the queue, given back when the job is done or dropped.
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

    /// Gives the room back first: whoever has an answer may ask again at once.
    fn finish(self, answer: Result<Answers, String>) {
        drop(self.room);
        // A closed reply means that the client has gone meanwhile.
        let _ = self.reply.send(answer);
    }
}

/// Answers jobs, in as few passes as their models and `max_batch` allow.
pub(super) fn run(mut jobs: Vec<Job>, max_batch: usize, observer: &Observer) {
    // Nobody waits for these any more.
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

/// One pass for several jobs. If it fails, each job gets a pass of its own: one request's trouble must not
/// become another's.
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

/// One pass, and how long it took. A panic in it is a failure like others.
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
