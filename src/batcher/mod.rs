//! Batching of concurrent requests into passes: a bounded queue in front of the device.
//!
//! Async code must never block a worker while it waits for a device. A batch is whatever waits when the device
//! becomes free; there is no timer, so an idle server adds no latency. The module knows only the small trait
//! [`Predict`]: no routes, no files, no tensors.
//!
//! A GPU belongs to one thread, which runs the waiting jobs (`device.rs`). On a CPU a small pass is cheaper than
//! waking a thread for it: requests that became ready in the same turn of the runtime share a pass on the worker that
//! read them (`gather.rs`), and only long lists go to the thread.
//!
//! A job carries the model that its samples were featurized for. So one version answers the whole request, even if
//! another version is promoted meanwhile. A pass holds jobs of one model only.

mod device;
mod gather;
mod health;
mod passes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use health::{Condition, DeviceHealth};

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::featurize::Features;
use crate::metrics::Metrics;
use crate::model::Predicted;
use gather::Gather;
use passes::{Job, Lane, Observer, pass};

/// Requests with more samples than this wait in the bulk lane, so that short ones overtake them.
const SHORT_SAMPLES: usize = 16;

/// A model that answers samples in one pass.
pub trait Predict: Send + Sync {
    /// The model's name for operators.
    fn name(&self) -> &str;

    /// Predictions for the samples, in order.
    ///
    /// # Errors
    /// The cause, for the log.
    fn predict(&self, samples: &[&Features]) -> Result<Vec<Predicted>, String>;
}

impl Predict for crate::model::Bundle {
    fn name(&self) -> &str {
        &self.manifest().name
    }

    fn predict(&self, samples: &[&Features]) -> Result<Vec<Predicted>, String> {
        crate::model::Bundle::predict(self, samples).map_err(|error| error.to_string())
    }
}

/// Bounds of the queue.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatcherConfig {
    /// Samples that may wait or be under way [default: 16384].
    #[arg(long, env = "MCVN_QUEUE_SAMPLES")]
    pub queue_samples: usize,
    /// Samples in one pass [default: 256].
    #[arg(long, env = "MCVN_MAX_BATCH")]
    pub max_batch: usize,
    /// Passes that fail in a row before /readyz says so [default: 5].
    #[arg(long, env = "MCVN_FAILURES_UNTIL_UNREADY")]
    pub failures_until_unready: usize,
}

impl Default for BatcherConfig {
    fn default() -> Self {
        Self { queue_samples: 16_384, max_batch: 256, failures_until_unready: 5 }
    }
}

/// Why samples were not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full.
    #[error("the queue is full")]
    Overloaded,
    /// The pass failed; the cause is for the log only.
    #[error("the pass failed: {0}")]
    Failed(String),
    /// The device thread has ended.
    #[error("the device thread has ended")]
    Closed,
}

/// The answers to samples that were submitted together, and where their time went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// The model's predictions, in order.
    pub values: Vec<Predicted>,
    /// Time in which none of their passes ran.
    pub queue: Duration,
    /// Time of their passes, which they may have shared with others.
    pub pass: Duration,
}

/// Which threads run the passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// The device thread runs all passes: for a GPU.
    OnItsThread,
    /// The workers of the runtime run the passes of short requests: for a CPU, which they share with the device
    /// thread.
    OnWorkers,
}

/// Room in the queue, taken before samples are prepared, so that refused samples cost no work.
#[derive(Debug)]
pub struct Reserved(OwnedSemaphorePermit);

/// A handle for submitting samples; cheap to clone. The device thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct Batcher {
    sender: mpsc::UnboundedSender<Job>,
    room: Arc<Semaphore>,
    config: BatcherConfig,
    observer: Arc<Observer>,
    gather: Option<Arc<Gather>>,
}

impl Batcher {
    /// Starts the device thread.
    ///
    /// # Errors
    /// The operating system refuses to start a thread.
    pub fn start(
        config: BatcherConfig,
        passes: Passes,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        // The channel itself is unbounded; the permits bound it, counted in samples.
        let (sender, receiver) = mpsc::unbounded_channel();
        let config = BatcherConfig {
            queue_samples: config.queue_samples.clamp(1, Semaphore::MAX_PERMITS),
            max_batch: config.max_batch.max(1),
            ..config
        };
        let health = Arc::new(DeviceHealth::new(config.failures_until_unready));
        let observer = Arc::new(Observer { metrics, health });
        let told = Arc::clone(&observer);
        let device = move || device::serve(receiver, config.max_batch, &told);
        let thread = std::thread::Builder::new().name("device".to_owned()).spawn(device)?;
        let room = Arc::new(Semaphore::new(config.queue_samples));
        let gather = match passes {
            Passes::OnItsThread => None,
            Passes::OnWorkers => Some(Arc::new(Gather::new(config.max_batch, Arc::clone(&observer)))),
        };
        Ok((Self { sender, room, config, observer, gather }, thread))
    }

    /// The configured bounds.
    pub fn config(&self) -> BatcherConfig {
        self.config
    }

    /// The health of the device.
    pub fn health(&self) -> &Arc<DeviceHealth> {
        &self.observer.health
    }

    /// Samples that wait or are being answered.
    pub fn queued_samples(&self) -> usize {
        self.config.queue_samples - self.room.available_permits()
    }

    /// Takes room for this many samples, or refuses at once.
    ///
    /// # Errors
    /// [`SubmitError::Overloaded`]
    pub fn reserve(&self, samples: usize) -> Result<Reserved, SubmitError> {
        let count = u32::try_from(samples).map_err(|_| SubmitError::Overloaded)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(count);
        room.map(Reserved).map_err(|_| SubmitError::Overloaded)
    }

    /// Answers samples, or refuses at once if there is no room for them.
    ///
    /// # Errors
    /// [`SubmitError`]
    pub async fn submit(&self, model: Arc<dyn Predict>, samples: Vec<Features>) -> Result<Answers, SubmitError> {
        let reserved = self.reserve(samples.len())?;
        self.submit_reserved(model, samples, reserved).await
    }

    /// Answers samples for which room was reserved.
    ///
    /// # Errors
    /// [`SubmitError`]; `Overloaded` if there are more samples than reserved room.
    pub async fn submit_reserved(
        &self,
        model: Arc<dyn Predict>,
        samples: Vec<Features>,
        Reserved(room): Reserved,
    ) -> Result<Answers, SubmitError> {
        self.pass(model, samples, Instant::now(), room).await
    }

    /// Answers samples, waiting for room: for work that must not be refused.
    ///
    /// # Errors
    /// [`SubmitError`]; never `Overloaded` if the samples fit into an empty queue.
    pub async fn submit_waiting(
        &self,
        model: Arc<dyn Predict>,
        samples: Vec<Features>,
    ) -> Result<Answers, SubmitError> {
        let submitted = Instant::now();
        let count = u32::try_from(samples.len()).map_err(|_| SubmitError::Overloaded)?;
        let room = Arc::clone(&self.room).acquire_many_owned(count).await.map_err(|_| SubmitError::Closed)?;
        self.pass(model, samples, submitted, room).await
    }

    /// Answers a part of bulk work on a thread that may block: on a CPU with a pass on this thread, else in the bulk
    /// lane. It takes no room in the queue: the caller bounds how many parts are being answered.
    ///
    /// # Errors
    /// [`SubmitError`], but never `Overloaded`.
    pub fn answer_bulk(&self, model: &Arc<dyn Predict>, samples: &[Features]) -> Result<Vec<Predicted>, SubmitError> {
        if self.gather.is_some() {
            let samples: Vec<&Features> = samples.iter().collect();
            return pass(&**model, &samples, &self.observer).0.map_err(SubmitError::Failed);
        }
        let (job, answer) = Job::new(Arc::clone(model), samples.to_vec(), Instant::now(), None, Lane::Bulk);
        self.sender.send(job).map_err(|_| SubmitError::Closed)?;
        received(answer.blocking_recv()).map(|answers| answers.values)
    }

    async fn pass(
        &self,
        model: Arc<dyn Predict>,
        mut samples: Vec<Features>,
        submitted: Instant,
        mut room: OwnedSemaphorePermit,
    ) -> Result<Answers, SubmitError> {
        let lane = if samples.len() <= SHORT_SAMPLES { Lane::Short } else { Lane::Bulk };
        if let (Some(gather), Lane::Short) = (&self.gather, lane)
            && samples.len() <= self.config.max_batch
        {
            let (job, answer) = Job::new(model, samples, submitted, Some(room), lane);
            gather.add(job);
            return received(answer.await);
        }
        let mut replies = Vec::new();
        while !samples.is_empty() {
            let rest = samples.split_off(samples.len().min(self.config.max_batch));
            let part = room.split(samples.len()).ok_or(SubmitError::Overloaded)?;
            let (job, answer) = Job::new(Arc::clone(&model), samples, submitted, Some(part), lane);
            self.sender.send(job).map_err(|_| SubmitError::Closed)?;
            replies.push(answer);
            samples = rest;
        }
        let (mut answers, mut end) = (Answers::default(), Duration::ZERO);
        for reply in replies {
            let part = received(reply.await)?;
            answers.values.extend(part.values);
            answers.pass += part.pass;
            // All parts began to wait at the same time, so a part's queue time includes the passes of the others.
            end = end.max(part.queue + part.pass);
        }
        answers.queue = end.saturating_sub(answers.pass);
        Ok(answers)
    }
}

fn received(reply: Result<Result<Answers, String>, oneshot::error::RecvError>) -> Result<Answers, SubmitError> {
    reply.map_err(|_| SubmitError::Closed)?.map_err(SubmitError::Failed)
}
