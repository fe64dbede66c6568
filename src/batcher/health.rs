//! The health of the device, derived from the outcomes of its passes.
//!
//! Readiness is denied while passes keep failing, and the server ends when no later pass can succeed.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use tracing::{error, info};

/// Permanent CUDA errors, after which the driver refuses everything. Its documentation says of most of them that "the
/// process must be terminated and relaunched", of the others that memory or the context is gone. Running out of
/// memory is not among them.
const FOR_GOOD: [&str; 15] = [
    "CUDA_ERROR_ASSERT",
    "CUDA_ERROR_CONTAINED",
    "CUDA_ERROR_CONTEXT_IS_DESTROYED",
    "CUDA_ERROR_ECC_UNCORRECTABLE",
    "CUDA_ERROR_EXTERNAL_DEVICE",
    "CUDA_ERROR_HARDWARE_STACK_ERROR",
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    "CUDA_ERROR_ILLEGAL_INSTRUCTION",
    "CUDA_ERROR_INVALID_ADDRESS_SPACE",
    "CUDA_ERROR_INVALID_PC",
    "CUDA_ERROR_LAUNCH_FAILED",
    "CUDA_ERROR_LAUNCH_TIMEOUT",
    "CUDA_ERROR_MISALIGNED_ADDRESS",
    "CUDA_ERROR_MPS_CLIENT_TERMINATED",
    "CUDA_ERROR_NVLINK_UNCORRECTABLE",
];

/// Whether an error is permanent, so that the process must be replaced. Backends give their errors as text only.
fn is_for_good(cause: &str) -> bool {
    // Whole names are compared, because other names may begin like one of these.
    let names = cause.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    names.into_iter().any(|name| FOR_GOOD.contains(&name))
}

/// The condition of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Its last passes succeeded, or not enough of them failed.
    Healthy,
    /// This many passes failed in a row, and none has succeeded since; the next one may.
    Failing,
    /// No pass can succeed in this process any more, for this cause.
    Lost(String),
}

/// The health of the device. The device thread updates it; others read it or wait for a change.
#[derive(Debug)]
pub struct DeviceHealth {
    /// How many failures in a row make the device failing.
    limit: usize,
    failures: AtomicUsize,
    condition: watch::Sender<Condition>,
}

impl DeviceHealth {
    /// A device that is healthy until `limit` passes have failed in a row.
    pub fn new(limit: usize) -> Self {
        let condition = watch::Sender::new(Condition::Healthy);
        Self { limit: limit.max(1), failures: AtomicUsize::new(0), condition }
    }

    /// Records the outcome of a pass. Each change of condition is logged once.
    pub(super) fn passed<T>(&self, outcome: &Result<T, String>) {
        let Err(cause) = outcome else {
            if self.failures.swap(0, Ordering::Relaxed) >= self.limit && self.change(Condition::Healthy) {
                info!("the device answers again");
            }
            return;
        };
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if is_for_good(cause) {
            if self.change(Condition::Lost(cause.clone())) {
                error!(cause, "the device is lost to this process");
            }
        } else if failures >= self.limit && self.change(Condition::Failing) {
            error!(failures, cause, "the device keeps failing: not ready until a pass succeeds");
        }
    }

    /// Sets the condition; returns whether it changed. A lost device stays lost.
    fn change(&self, to: Condition) -> bool {
        self.condition.send_if_modified(|condition| {
            let changed = *condition != to && !matches!(condition, Condition::Lost(_));
            if changed {
                *condition = to;
            }
            changed
        })
    }

    /// The current condition.
    pub fn condition(&self) -> Condition {
        self.condition.borrow().clone()
    }

    /// Whether the device accepts new work.
    pub fn is_healthy(&self) -> bool {
        *self.condition.borrow() == Condition::Healthy
    }

    /// Resolves when passes keep failing, at once if they already do.
    pub async fn failing(&self) {
        self.when(|condition| *condition == Condition::Failing).await;
    }

    /// Resolves with the cause when the device is lost.
    pub async fn lost(&self) -> String {
        match self.when(|condition| matches!(condition, Condition::Lost(_))).await {
            Condition::Lost(cause) => cause,
            Condition::Healthy | Condition::Failing => String::new(),
        }
    }

    async fn when(&self, is: impl FnMut(&Condition) -> bool) -> Condition {
        // `self` owns the sender, so the channel cannot close here.
        self.condition.subscribe().wait_for(is).await.map_or_else(|_| self.condition(), |condition| condition.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Batcher, BatcherConfig, Passes, Predict};
    use super::*;
    use crate::featurize::Features;
    use crate::model::Predicted;

    fn failed(cause: &str) -> Result<(), String> {
        Err(cause.to_owned())
    }

    #[test]
    fn failures_in_a_row_are_counted_and_a_success_forgets_them() {
        let health = DeviceHealth::new(3);
        for _ in 0..2 {
            health.passed(&failed("a"));
            health.passed(&failed("a panic in the pass"));
            assert!(health.is_healthy());
            health.passed(&Ok(()));
        }
        for _ in 0..5 {
            health.passed(&failed("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"));
        }
        assert_eq!(health.condition(), Condition::Failing);
        health.passed(&Ok(()));
        assert_eq!(health.condition(), Condition::Healthy);
    }

    #[test]
    fn errors_for_good_are_told_from_others() {
        for (cause, for_good) in [
            ("tensors: DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")", true),
            ("DriverError(CUDA_ERROR_LAUNCH_FAILED, \"unspecified launch failure\") when loading gemm", true),
            ("DriverError(CUDA_ERROR_ECC_UNCORRECTABLE, \"uncorrectable ECC error encountered\")", true),
            ("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")", false),
            ("DriverError(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, \"too many resources requested for launch\")", false),
            ("CUDA_ERROR_INVALID_PCI", false),
            ("the pass gave a number that is not finite", false),
        ] {
            assert_eq!(is_for_good(cause), for_good, "{cause}");
        }
    }

    #[tokio::test]
    async fn what_is_lost_stays_lost() {
        let health = DeviceHealth::new(5);
        health.passed(&failed("CUDA_ERROR_ASSERT"));
        health.passed(&failed("CUDA_ERROR_LAUNCH_FAILED"));
        health.passed(&Ok(()));
        assert_eq!(health.lost().await, "CUDA_ERROR_ASSERT");
        assert!(!health.is_healthy());
    }

    /// Answers as it is told to.
    struct Device(std::sync::Mutex<Result<(), &'static str>>);

    impl Predict for Device {
        fn name(&self) -> &str {
            "device"
        }

        fn predict(&self, samples: &[&Features]) -> Result<Vec<Predicted>, String> {
            let outcome = *self.0.lock().unwrap();
            assert_ne!(outcome, Err("panic"));
            outcome.map(|()| vec![Predicted::default(); samples.len()]).map_err(str::to_owned)
        }
    }

    #[tokio::test]
    async fn the_passes_of_the_batcher_tell() {
        let config = BatcherConfig { failures_until_unready: 2, ..BatcherConfig::default() };
        let (batcher, _thread) = Batcher::start(config, Passes::OnItsThread, Arc::default()).unwrap();
        let (health, device) = (Arc::clone(batcher.health()), Arc::new(Device(Ok(()).into())));
        let illegal = "tensors: DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")";
        for (outcome, condition) in [
            (Err("panic"), Condition::Healthy),
            (Err("not finite"), Condition::Failing),
            (Err("panic"), Condition::Failing),
            // Passes are still tried.
            (Ok(()), Condition::Healthy),
            (Err(illegal), Condition::Lost(illegal.to_owned())),
        ] {
            *device.0.lock().unwrap() = outcome;
            let sample = Features { row: vec![0.0], ..Features::default() };
            assert_eq!(batcher.submit(device.clone(), vec![sample]).await.is_ok(), outcome.is_ok());
            assert_eq!(health.condition(), condition, "{outcome:?}");
        }
        assert_eq!(health.lost().await, illegal);
    }
}
