//! Several trainings side by side.
//!
//! Its own because members and splits share the pattern: numbered jobs, a few threads, results in order,
//! and the first failure stops the rest.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::fit::FitError;

/// Runs jobs `0..count` on up to `threads` threads. A job may look at the flag, which is raised when
/// another has failed.
pub(super) fn run_all<T: Send>(
    count: usize,
    threads: usize,
    job: impl Fn(usize, &AtomicBool) -> Result<T, FitError> + Sync,
) -> Result<Vec<T>, FitError> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count || stop.load(Ordering::Relaxed) {
                break;
            }
            let result = job(index, &stop);
            stop.fetch_or(result.is_err(), Ordering::Relaxed);
            results.lock().unwrap_or_else(PoisonError::into_inner).insert(index, result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, count.max(1)) {
            scope.spawn(work);
        }
        work();
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}
