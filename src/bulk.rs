//! Threads for bulk work: tables and lists of many rows, where no client waits for a single row.
//!
//! Bulk work must not slow down clients that wait for one answer. So its threads have the lowest priority of the
//! operating system and use only idle time. The caller bounds how many chunks are under way, so that the queue stays
//! short and several streams take turns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde::{Deserialize, Serialize};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use tokio::sync::oneshot;

/// Bounds of bulk work.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BulkConfig {
    /// Tables and lines that are answered at the same time; more are refused [default: 4].
    #[arg(id = "BULK_STREAMS", long = "bulk-streams", env = "MCVN_BULK_STREAMS")]
    pub streams: usize,
    /// Threads of low priority that answer them; 0 for one a core [default: 0].
    #[arg(id = "BULK_THREADS", long = "bulk-threads", env = "MCVN_BULK_THREADS")]
    pub threads: usize,
}

impl Default for BulkConfig {
    fn default() -> Self {
        Self { streams: 4, threads: 0 }
    }
}

/// The priority of the threads for the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// The normal priority.
    Usual,
    /// Only time that no other thread uses.
    Lowest,
}

/// See [`Pool::chunks_under_way`].
const CHUNKS_PER_THREAD: usize = 2;

type Task = Box<dyn FnOnce() + Send>;

/// A pool of bulk threads; cheap to clone. The threads end when the last handle is dropped and no work is left.
#[derive(Clone, Debug)]
pub struct Pool {
    sender: Sender<Task>,
    config: BulkConfig,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system refuses to start a thread.
    pub fn start(config: BulkConfig, priority: Priority) -> std::io::Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if config.threads == 0 { cores() } else { config.threads };
        let (sender, receiver) = channel::<Task>();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads {
            let receiver = Arc::clone(&receiver);
            let name = format!("bulk-{number}");
            std::thread::Builder::new().name(name).spawn(move || work(&receiver, priority))?;
        }
        Ok(Self { sender, config: BulkConfig { threads, ..config } })
    }

    /// The configured bounds.
    pub fn config(&self) -> BulkConfig {
        self.config
    }

    /// How many chunks of one stream may be under way: for each thread one being answered and one that waits.
    pub fn chunks_under_way(&self) -> usize {
        CHUNKS_PER_THREAD * self.config.threads
    }

    /// Runs work on a thread of the pool. If it panics, no answer comes. If the receiver is dropped first, the work
    /// is not started.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        let task = move || {
            if !reply.is_closed() {
                let _ = reply.send(work());
            }
        };
        // The threads hold the receiver as long as any handle exists.
        let _ = self.sender.send(Box::new(task));
        answer
    }
}

fn work(tasks: &Mutex<Receiver<Task>>, priority: Priority) {
    if priority == Priority::Lowest {
        step_back();
    }
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else { return };
        // The caller sees a panic as an answer that never comes.
        let _ = catch_unwind(AssertUnwindSafe(task));
    }
}

/// Gives this thread the idle policy, or the lowest niceness where there is no idle policy. Then every other thread
/// preempts it at once; with niceness alone it would first finish its time slice of some milliseconds. If both calls
/// fail, bulk work just competes more.
fn step_back() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    // On Linux this sets the niceness of this thread only.
    let _ = rustix::process::nice(19);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_and_a_panic_ends_no_thread() {
        let pool = Pool::start(BulkConfig { streams: 1, threads: 1 }, Priority::Lowest).unwrap();
        assert_eq!(pool.config().threads, 1);
        assert!(pool.run(|| panic!("oh")).blocking_recv().is_err());
        assert_eq!(pool.run(|| 3).blocking_recv(), Ok(3));
    }

    #[test]
    fn what_nobody_waits_for_is_not_begun() {
        let pool = Pool::start(BulkConfig { streams: 1, threads: 1 }, Priority::Usual).unwrap();
        let (hold, held) = channel::<()>();
        let first = pool.run(move || held.recv().is_ok());
        let (begun, beginnings) = channel();
        drop(pool.run(move || begun.send(())));
        hold.send(()).unwrap();
        assert_eq!(first.blocking_recv(), Ok(true));
        assert_eq!(pool.run(|| ()).blocking_recv(), Ok(()));
        assert!(beginnings.recv().is_err());
    }
}
