//! Tests of the queue and its passes, with a model that can be held and can panic.

use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Returns the first feature; holds each pass as long as it is told to; panics on a NaN.
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
    Features { row: vec![value], ..Features::default() }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_waits_becomes_one_batch_and_answers_stay_in_order() {
    let (batcher, thread) = Batcher::start(BatcherConfig::default(), Passes::OnItsThread, Arc::default()).unwrap();
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
    let (batcher, _thread) = Batcher::start(config, Passes::OnItsThread, Arc::default()).unwrap();
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
    let (batcher, _thread) = Batcher::start(BatcherConfig::default(), Passes::OnItsThread, Arc::default()).unwrap();
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
    let (batcher, _thread) = Batcher::start(config, Passes::OnItsThread, Arc::clone(&metrics)).unwrap();
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

#[tokio::test]
async fn on_workers_what_becomes_ready_together_shares_a_pass() {
    let (batcher, _thread) = Batcher::start(BatcherConfig::default(), Passes::OnWorkers, Arc::default()).unwrap();
    let echo = Arc::new(Echo::default());
    let submit = |value: f64| batcher.submit(echo.clone(), vec![sample(value), sample(-value)]);
    assert_eq!(submit(7.0).await.unwrap().values, [said(7.0), said(-7.0)], "nobody else is waited for");
    let together = futures_util::future::join_all((0..20).map(|value| submit(f64::from(value)))).await;
    for (value, answers) in together.into_iter().enumerate() {
        assert_eq!(answers.unwrap().values, [said(value as f64), said(-(value as f64))]);
    }
    assert_eq!(*echo.batches.lock().unwrap(), [2, 40]);
    assert_eq!(batcher.queued_samples(), 0);
}

#[tokio::test]
async fn on_workers_trouble_and_absence_cost_nobody_else() {
    let config = BatcherConfig { queue_samples: 100, max_batch: 4, ..BatcherConfig::default() };
    let (batcher, _thread) = Batcher::start(config, Passes::OnWorkers, Arc::default()).unwrap();
    let echo = Arc::new(Echo::default());
    let submit = |value: f64| {
        let (batcher, echo) = (batcher.clone(), Arc::clone(&echo));
        tokio::spawn(async move { batcher.submit(echo, vec![sample(value)]).await })
    };
    // The pass of a batch runs even if the request that started it goes away.
    let (leader, bad, good) = (submit(1.0), submit(f64::NAN), submit(5.0));
    let others: Vec<_> = (0..6).map(|value| submit(f64::from(value))).collect();
    tokio::task::yield_now().await;
    leader.abort();
    assert!(matches!(bad.await.unwrap(), Err(SubmitError::Failed(_))));
    assert_eq!(good.await.unwrap().unwrap().values, [said(5.0)]);
    for (value, other) in others.into_iter().enumerate() {
        assert_eq!(other.await.unwrap().unwrap().values, [said(value as f64)]);
    }
    assert!(echo.batches.lock().unwrap().iter().all(|size| *size <= 4));
    assert_eq!(batcher.queued_samples(), 0);
    // A long list goes to the thread.
    let list: Vec<Features> = (0..50).map(|value| sample(f64::from(value))).collect();
    let answers = batcher.submit(echo.clone(), list).await.unwrap();
    assert_eq!(answers.values, (0..50).map(|value| said(f64::from(value))).collect::<Vec<_>>());
}

#[test]
fn bulk_work_is_answered_wherever_it_is_asked() {
    for passes in [Passes::OnWorkers, Passes::OnItsThread] {
        let (batcher, thread) = Batcher::start(BatcherConfig::default(), passes, Arc::default()).unwrap();
        let echo: Arc<dyn Predict> = Arc::new(Echo::default());
        assert_eq!(batcher.answer_bulk(&echo, &[sample(1.0), sample(2.0)]).unwrap(), [said(1.0), said(2.0)]);
        assert!(matches!(batcher.answer_bulk(&echo, &[sample(f64::NAN)]), Err(SubmitError::Failed(_))));
        drop(batcher);
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn short_requests_overtake_bulk_work() {
    let config = BatcherConfig { queue_samples: 1000, max_batch: 20, ..BatcherConfig::default() };
    let (batcher, _thread) = Batcher::start(config, Passes::OnItsThread, Arc::default()).unwrap();
    let echo = Arc::new(Echo::default());
    echo.hold.store(true, Ordering::SeqCst);
    let submit = |value: f64, count: usize| {
        let (batcher, echo) = (batcher.clone(), Arc::clone(&echo));
        tokio::spawn(async move { batcher.submit(echo, vec![sample(value); count]).await })
    };
    let first = submit(0.0, 1);
    until(|| echo.entered.load(Ordering::SeqCst) == 1).await;
    let list = submit(1.0, 60);
    until(|| batcher.queued_samples() == 61).await;
    let short = submit(2.0, 3);
    until(|| batcher.queued_samples() == 64).await;
    echo.hold.store(false, Ordering::SeqCst);
    for answers in [first, list, short] {
        assert!(answers.await.unwrap().is_ok());
    }
    assert_eq!(*echo.batches.lock().unwrap(), [1, 3, 20, 20, 20]);
}
