//! Runs several trainings in parallel: numbered jobs on a few threads, with results in order. The first failure stops
//! the others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::train::error::FitError;

/// Runs jobs `0..count` on up to `threads` threads. The flag passed to a job is set when another job has failed.
pub(in crate::train) fn run_all<T: Send>(
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
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    // A job stopped because of another one returns `Cancelled`. Report the failure that caused it instead.
    let cause = |result: &Result<T, FitError>| matches!(result, Err(error) if !matches!(error, FitError::Cancelled));
    if let Some(index) = results.iter().find(|(_, result)| cause(result)).map(|(index, _)| *index) {
        return results.remove(&index).into_iter().collect();
    }
    results.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_a_failure_is_told_by_its_cause() {
        assert_eq!(run_all(5, 2, |index, _| Ok(index * 10)).unwrap(), [0, 10, 20, 30, 40]);
        let outcome = run_all(2, 2, |index, stop| {
            if index == 1 {
                return Err(FitError::Diverged(7));
            }
            while !stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            Err::<usize, _>(FitError::Cancelled)
        });
        assert!(matches!(outcome, Err(FitError::Diverged(7))), "{outcome:?}");
    }
}
