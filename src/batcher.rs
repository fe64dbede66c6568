//! Concurrent requests become passes: a bounded queue in front of one device thread.
//!
//! Its own because the device belongs to an OS thread and async code must never wait for it while holding
//! a worker. A batch is whatever waits when the device is free; there is no timer, so an idle server adds no
//! latency. It knows only the small contract [`Predict`]: no routes, no files, no tensors.
//!
//! A job carries the model that it was featurized for, so one request is always answered by one whole
//! version, whatever is promoted meanwhile; a pass takes the waiting jobs of one model.

mod health;

pub use health::{Condition, DeviceHealth};

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::featurize::Features;
use crate::metrics::Metrics;
use crate::model::Predicted;

/// Something that answers samples in one pass.
pub trait Predict: Send + Sync {
    /// What operators know it by.
    fn name(&self) -> &str;

    /// What it says of each sample, in order.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatcherConfig {
    /// Samples that may wait or be under way; more are refused.
    pub queue_samples: usize,
    /// Samples in one pass.
    pub max_batch: usize,
    /// Passes that fail in a row before the server says that it is not ready.
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
    /// The pass failed; the cause is for the log.
    #[error("the pass failed: {0}")]
    Failed(String),
    /// The device thread has ended.
    #[error("the device thread has ended")]
    Closed,
}

/// What samples submitted together got, and where their time went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// What the model says of each sample, in order.
    pub values: Vec<Predicted>,
    /// Time in which none of their passes ran.
    pub queue: Duration,
    /// Time of their passes, which they may have shared with others.
    pub pass: Duration,
}

struct Job {
    model: Arc<dyn Predict>,
    samples: Vec<Features>,
    submitted: Instant,
    reply: oneshot::Sender<Result<Answers, String>>,
    /// Room in the queue, given back when the job is done or dropped.
    room: OwnedSemaphorePermit,
}

impl Job {
    /// Gives the room back first: whoever has an answer may ask again at once.
    fn finish(self, answer: Result<Answers, String>) {
        drop(self.room);
        // A closed reply means that the client has gone meanwhile.
        let _ = self.reply.send(answer);
    }
}

/// A handle for submitting; cheap to clone. The device thread ends when the last one is dropped.
#[derive(Clone)]
pub struct Batcher {
    sender: mpsc::UnboundedSender<Job>,
    room: Arc<Semaphore>,
    config: BatcherConfig,
    health: Arc<DeviceHealth>,
}

impl Batcher {
    /// Starts the device thread.
    ///
    /// # Errors
    /// The operating system's refusal of a thread.
    pub fn start(config: BatcherConfig, metrics: Arc<Metrics>) -> std::io::Result<(Self, JoinHandle<()>)> {
        // The channel itself is unbounded; the permits bound it, in samples.
        let (sender, receiver) = mpsc::unbounded_channel();
        let config = BatcherConfig {
            queue_samples: config.queue_samples.clamp(1, Semaphore::MAX_PERMITS),
            max_batch: config.max_batch.max(1),
            ..config
        };
        let health = Arc::new(DeviceHealth::new(config.failures_until_unready));
        let observed = Arc::clone(&health);
        let device = move || serve(receiver, config.max_batch, &metrics, &observed);
        let thread = std::thread::Builder::new().name("device".to_owned()).spawn(device)?;
        let room = Arc::new(Semaphore::new(config.queue_samples));
        Ok((Self { sender, room, config, health }, thread))
    }

    /// The bounds that hold.
    pub fn config(&self) -> BatcherConfig {
        self.config
    }

    /// What the passes say of the device.
    pub fn health(&self) -> &Arc<DeviceHealth> {
        &self.health
    }

    /// Samples that wait or are under way.
    pub fn queued_samples(&self) -> usize {
        self.config.queue_samples - self.room.available_permits()
    }

    /// Answers samples, or refuses at once where there is no room for them.
    ///
    /// # Errors
    /// [`SubmitError`]
    pub async fn submit(&self, model: Arc<dyn Predict>, samples: Vec<Features>) -> Result<Answers, SubmitError> {
        let submitted = Instant::now();
        let count = u32::try_from(samples.len()).map_err(|_| SubmitError::Overloaded)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(count).map_err(|_| SubmitError::Overloaded)?;
        self.pass(model, samples, submitted, room).await
    }

    /// Answers samples, waiting for room: for the later parts of a request whose first part was accepted.
    ///
    /// # Errors
    /// [`SubmitError`], but not `Overloaded` for as many samples as the queue can ever hold.
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

    async fn pass(
        &self,
        model: Arc<dyn Predict>,
        mut samples: Vec<Features>,
        submitted: Instant,
        mut room: OwnedSemaphorePermit,
    ) -> Result<Answers, SubmitError> {
        let mut replies = Vec::new();
        while !samples.is_empty() {
            let rest = samples.split_off(samples.len().min(self.config.max_batch));
            let part = room.split(samples.len()).ok_or(SubmitError::Overloaded)?;
            let (reply, answer) = oneshot::channel();
            let job = Job { model: Arc::clone(&model), samples, submitted, reply, room: part };
            self.sender.send(job).map_err(|_| SubmitError::Closed)?;
            replies.push(answer);
            samples = rest;
        }
        let (mut answers, mut end) = (Answers::default(), Duration::ZERO);
        for reply in replies {
            let part = reply.await.map_err(|_| SubmitError::Closed)?.map_err(SubmitError::Failed)?;
            answers.values.extend(part.values);
            answers.pass += part.pass;
            // All parts began to wait at the same time; the passes of the others are part of a part's wait.
            end = end.max(part.queue + part.pass);
        }
        answers.queue = end.saturating_sub(answers.pass);
        Ok(answers)
    }
}

/// The device thread: takes what waits, until every handle is gone and the queue is empty.
fn serve(mut receiver: mpsc::UnboundedReceiver<Job>, max_batch: usize, metrics: &Metrics, health: &DeviceHealth) {
    while let Some(first) = receiver.blocking_recv() {
        let mut count = first.samples.len();
        let mut waiting = vec![first];
        while count < max_batch
            && let Ok(job) = receiver.try_recv()
        {
            count += job.samples.len();
            waiting.push(job);
        }
        // Nobody waits for these any more.
        waiting.retain(|job| !job.reply.is_closed());
        while let Some(job) = waiting.first() {
            let model = Arc::clone(&job.model);
            let (batch, rest): (Vec<Job>, _) = waiting.into_iter().partition(|job| same(&job.model, &model));
            batch.iter().for_each(|job| metrics.waited(job.submitted.elapsed()));
            answer(&*model, batch, metrics, health);
            waiting = rest;
        }
    }
}

fn same(left: &Arc<dyn Predict>, right: &Arc<dyn Predict>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(left), Arc::as_ptr(right))
}

/// One pass for several jobs. If it fails, each job gets a pass of its own: one request's trouble must not
/// become another's.
fn answer(model: &dyn Predict, jobs: Vec<Job>, metrics: &Metrics, health: &DeviceHealth) {
    let samples: Vec<&Features> = jobs.iter().flat_map(|job| &job.samples).collect();
    let start = Instant::now();
    let outcome = pass(model, &samples);
    let took = start.elapsed();
    metrics.passed(model.name(), samples.len(), took, outcome.is_ok());
    health.passed(&outcome);
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
        Err(_) => jobs.into_iter().for_each(|job| answer(model, vec![job], metrics, health)),
    }
}

fn pass(model: &dyn Predict, samples: &[&Features]) -> Result<Vec<Predicted>, String> {
    let answers = catch_unwind(AssertUnwindSafe(|| model.predict(samples)))
        .unwrap_or_else(|_| Err("a panic in the pass".to_owned()))?;
    if answers.len() == samples.len() {
        Ok(answers)
    } else {
        Err(format!("{} answers for {} samples", answers.len(), samples.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    /// Gives back the first feature; holds each pass while it is told to; panics on a NaN.
    #[derive(Default)]
    struct Echo {
        hold: AtomicBool,
        batches: Mutex<Vec<usize>>,
        entered: AtomicUsize,
    }

    impl Predict for Echo {
        fn name(&self) -> &str {
            "echo"
        }

        fn predict(&self, samples: &[&Features]) -> Result<Vec<Predicted>, String> {
            self.entered.fetch_add(1, Ordering::SeqCst);
            while self.hold.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.batches.lock().unwrap().push(samples.len());
            assert!(samples.iter().all(|sample| !sample.row[0].is_nan()), "NaN");
            Ok(samples.iter().map(|sample| said(sample.row[0])).collect())
        }
    }

    fn said(value: f64) -> Predicted {
        Predicted { values: vec![value], ..Predicted::default() }
    }

    fn sample(value: f64) -> Features {
        Features { row: vec![value], pixels: None }
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn what_waits_becomes_one_batch_and_answers_stay_in_order() {
        let (batcher, thread) = Batcher::start(BatcherConfig::default(), Arc::default()).unwrap();
        let echo = Arc::new(Echo::default());
        let submit = |value: f64| {
            let (batcher, echo) = (batcher.clone(), Arc::clone(&echo));
            tokio::spawn(async move { batcher.submit(echo, vec![sample(value), sample(-value)]).await })
        };
        echo.hold.store(true, Ordering::SeqCst);
        let first = submit(0.0);
        until(|| echo.entered.load(Ordering::SeqCst) == 1).await;
        let others: Vec<_> = (1..=20).map(|value| submit(f64::from(value))).collect();
        until(|| batcher.queued_samples() == 42).await;
        echo.hold.store(false, Ordering::SeqCst);
        assert_eq!(first.await.unwrap().unwrap().values.len(), 2);
        for (index, other) in others.into_iter().enumerate() {
            let value = index as f64 + 1.0;
            assert_eq!(other.await.unwrap().unwrap().values, [said(value), said(-value)]);
        }
        assert_eq!(*echo.batches.lock().unwrap(), [2, 40]);
        drop(batcher);
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_abandoned_work_is_dropped() {
        let config = BatcherConfig { queue_samples: 4, max_batch: 2, ..BatcherConfig::default() };
        let (batcher, _thread) = Batcher::start(config, Arc::default()).unwrap();
        let echo = Arc::new(Echo::default());
        echo.hold.store(true, Ordering::SeqCst);
        let spawn = |count: usize| {
            let (batcher, echo) = (batcher.clone(), Arc::clone(&echo));
            tokio::spawn(async move { batcher.submit(echo, vec![sample(1.0); count]).await })
        };
        let running = spawn(1);
        until(|| echo.entered.load(Ordering::SeqCst) == 1).await;
        let abandoned = spawn(3);
        until(|| batcher.queued_samples() == 4).await;
        assert_eq!(batcher.submit(echo.clone(), vec![sample(1.0)]).await, Err(SubmitError::Overloaded));
        abandoned.abort();
        echo.hold.store(false, Ordering::SeqCst);
        assert!(running.await.unwrap().is_ok());
        until(|| batcher.queued_samples() == 0).await;
        assert_eq!(*echo.batches.lock().unwrap(), [1], "the abandoned samples were never passed");
    }

    #[tokio::test]
    async fn a_panic_costs_only_the_request_that_caused_it() {
        let (batcher, _thread) = Batcher::start(BatcherConfig::default(), Arc::default()).unwrap();
        let echo = Arc::new(Echo::default());
        echo.hold.store(true, Ordering::SeqCst);
        let submit = |value: f64| {
            let (batcher, echo) = (batcher.clone(), Arc::clone(&echo));
            tokio::spawn(async move { batcher.submit(echo, vec![sample(value)]).await })
        };
        let first = submit(0.0);
        until(|| echo.entered.load(Ordering::SeqCst) == 1).await;
        let (bad, good) = (submit(f64::NAN), submit(5.0));
        until(|| batcher.queued_samples() == 3).await;
        echo.hold.store(false, Ordering::SeqCst);
        assert!(first.await.unwrap().is_ok());
        assert!(matches!(bad.await.unwrap(), Err(SubmitError::Failed(_))));
        assert_eq!(good.await.unwrap().unwrap().values, [said(5.0)]);
    }

    #[tokio::test]
    async fn passes_and_waits_are_measured() {
        let metrics = Arc::new(Metrics::new());
        let config = BatcherConfig { queue_samples: 100, max_batch: 4, ..BatcherConfig::default() };
        let (batcher, _thread) = Batcher::start(config, Arc::clone(&metrics)).unwrap();
        let echo = Arc::new(Echo::default());
        let start = Instant::now();
        echo.hold.store(true, Ordering::SeqCst);
        let (model, samples) = (Arc::clone(&echo), vec![sample(1.0); 10]);
        let submitted = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.submit(model, samples).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        echo.hold.store(false, Ordering::SeqCst);
        let answers = submitted.await.unwrap().unwrap();
        assert!(answers.pass >= Duration::from_millis(15), "the first pass was held: {answers:?}");
        assert!(answers.queue + answers.pass <= start.elapsed(), "{answers:?}");
        assert!(batcher.submit(echo, vec![sample(f64::NAN)]).await.is_err());
        let text = metrics.render(&crate::metrics::Now::default(), crate::metrics::TextFormat::Plain).unwrap();
        for line in [
            // 10 samples in parts of 4, 4 and 2, and the bad one.
            "mcvn_queue_wait_seconds_count 4",
            "mcvn_batch_samples_count 4",
            "mcvn_batch_samples_sum 11.0",
            "mcvn_pass_duration_seconds_count{model=\"echo\"} 4",
            "mcvn_pass_failures_total 1",
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
    }
}
