//! What processes use, and what of the machine is left to them, as Linux tells it in `/proc`.
//!
//! Its own because figures of a shared machine mean little without it: whoever reads them must know whether something else
//! was running.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Resident memory, in MB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) now: f64,
    pub(crate) peak: f64,
}

/// `process` as in `/proc`: a number, or `self`.
pub(crate) fn memory(process: &str) -> Memory {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let megabytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0 / 1e6
    };
    Memory { now: megabytes("VmRSS:"), peak: megabytes("VmHWM:") }
}

/// The kernel counts time in hundredths of a second here.
fn seconds(ticks: &str) -> f64 {
    ticks.parse::<f64>().unwrap() / 100.0
}

/// Processor time that a process has used, in seconds.
pub(crate) fn processor_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(seconds).sum()
}

/// Processor time of the whole machine that was not idle, in seconds; what its host gave to others (steal) included.
fn busy_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let ticks = stat.lines().next().unwrap().split_whitespace().skip(1).take(8);
    // user nice system idle iowait irq softirq steal
    ticks.enumerate().filter(|(place, _)| ![3, 4].contains(place)).map(|(_, ticks)| seconds(ticks)).sum()
}

/// Watches what others than these processes take of the machine.
pub(crate) struct Others {
    processes: Vec<String>,
    since: Instant,
    busy: f64,
    ours: f64,
}

impl Others {
    pub(crate) fn new(processes: Vec<String>) -> Self {
        let mut others = Self { processes, since: Instant::now(), busy: 0.0, ours: 0.0 };
        others.lap();
        others
    }

    /// The share of the machine that others took since the last lap.
    pub(crate) fn lap(&mut self) -> f64 {
        let (now, busy) = (Instant::now(), busy_seconds());
        let ours: f64 = self.processes.iter().map(|process| processor_seconds(process)).sum();
        let cores = std::thread::available_parallelism().unwrap().get() as f64;
        let whole = (now - self.since).as_secs_f64() * cores;
        let share = ((busy - self.busy - (ours - self.ours)) / whole).clamp(0.0, 1.0);
        (self.since, self.busy, self.ours) = (now, busy, ours);
        share
    }
}

/// Watches for the machine standing still, as virtual machines do when their host moves or saves them: then every deadline
/// passes at once, and no program is to blame.
pub(crate) struct Pauses(Arc<AtomicU64>);

impl Pauses {
    const NAP: Duration = Duration::from_millis(50);

    /// Watches until the process ends.
    pub(crate) fn watch() -> Self {
        let longest = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&longest);
        std::thread::spawn(move || {
            loop {
                let start = Instant::now();
                std::thread::sleep(Self::NAP);
                let late = start.elapsed().saturating_sub(Self::NAP);
                seen.fetch_max(late.as_millis() as u64, Ordering::Relaxed);
            }
        });
        Self(longest)
    }

    /// The longest since this was last asked.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_millis(self.0.swap(0, Ordering::Relaxed))
    }
}
