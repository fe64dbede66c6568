//! Two ways to ask: each client waits for its answer (closed loop), or requests come at a rate (open loop).
//!
//! Its own because the difference is the point. In a closed loop a slow server is asked less, which finds its capacity
//! and hides its delays; in an open loop it is asked as before, as by clients who do not know of each other.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Asks over so many connections at once, and gives the number of answers a second. `ask` is given the number of each
/// request.
pub(crate) async fn closed<F, Fut>(clients: usize, duration: Duration, ask: F) -> f64
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let (next, start) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let client = |_| {
        let (next, ask) = (Arc::clone(&next), ask.clone());
        tokio::spawn(async move {
            while start.elapsed() < duration {
                ask(next.fetch_add(1, Ordering::Relaxed)).await;
            }
        })
    };
    for client in (0..clients).map(client).collect::<Vec<_>>() {
        client.await.unwrap();
    }
    next.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

/// What became of a pace.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    pub(crate) requests: usize,
    /// Numbers of those that were not sent, because as many as allowed were under way.
    pub(crate) withheld: Vec<usize>,
    pub(crate) seconds: f64,
}

/// Asks at a rate, whatever becomes of the earlier requests, as long as at most so many are under way. Returns when the
/// last one is answered.
///
/// Several are sent at once where the rate is above a thousand a second, which is as fine as the timer is; `ask` takes
/// its time from when it is called. That the one who sends never waits for an answer keeps latencies honest.
pub(crate) async fn open<F, Fut>(rate: f64, duration: Duration, most: usize, ask: F) -> Offered
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let under_way = Arc::new(Semaphore::new(most));
    let start = Instant::now();
    let (mut requests, mut withheld) = (0, Vec::new());
    loop {
        let due = start + Duration::from_secs_f64(requests as f64 / rate);
        if due > start + duration {
            break;
        }
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        match Arc::clone(&under_way).try_acquire_owned() {
            Ok(permit) => {
                let asked = ask(requests);
                tokio::spawn(async move {
                    asked.await;
                    drop(permit);
                });
            }
            Err(_) => withheld.push(requests),
        }
        requests += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let _ = under_way.acquire_many(most as u32).await;
    Offered { requests, withheld, seconds }
}
