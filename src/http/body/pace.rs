//! Checks whether a client sends or receives data fast enough.
//!
//! The clock runs only while the server waits for the client. Transferred bytes add time, up to a small maximum, so
//! that a burst does not pay for a long silence. Bodies, streams and responses share this rule.

use std::time::{Duration, Instant};

/// How long a client may be silent at the start, and the most time that it can save up.
const GRACE: Duration = Duration::from_secs(2);

/// The time that a client has left.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Pace {
    /// The least bytes per second that it must transfer.
    least: f64,
    /// When its time runs out, while the server waits for it.
    until: Instant,
    /// Since when the client waits for the server.
    paused: Option<Instant>,
}

impl Pace {
    /// Starts the clock: the server waits for the client.
    pub(in crate::http) fn new(least: f64, now: Instant) -> Self {
        Self { least, until: now + GRACE, paused: None }
    }

    /// Records transferred bytes; the server still waits for the client.
    pub(in crate::http) fn moved(&mut self, bytes: usize, now: Instant) {
        self.resume(now);
        let earned = Duration::try_from_secs_f64(bytes as f64 / self.least).map_or(GRACE, |time| time.min(GRACE));
        self.until = (self.until + earned).min(now + GRACE);
    }

    /// Stops the clock: the client waits for the server.
    pub(in crate::http) fn pause(&mut self, now: Instant) {
        self.paused.get_or_insert(now);
    }

    /// Continues the clock: the server waits for the client again.
    pub(in crate::http) fn resume(&mut self, now: Instant) {
        if let Some(since) = self.paused.take() {
            self.until += now - since;
        }
    }

    /// How late the client is; `None` if it is not late.
    pub(in crate::http) fn late(&self, now: Instant) -> Option<Duration> {
        self.paused.unwrap_or(now).checked_duration_since(self.until).filter(|late| !late.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_pays_for_no_long_silence() {
        let start = Instant::now();
        let after = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut pace = Pace::new(1000.0, start);
        assert_eq!(pace.late(after(2.0)), None);
        assert_eq!(pace.late(after(2.5)), Some(Duration::from_millis(500)));
        pace.moved(1_000_000, after(1.0));
        assert_eq!((pace.late(after(3.0)), pace.late(after(4.0))), (None, Some(Duration::from_secs(1))));
        // Single bytes are not enough to catch up.
        (2..9).for_each(|second| pace.moved(1, after(f64::from(second))));
        assert!(pace.late(after(9.0)).is_some());
        // More than the required rate is enough.
        (9..20).for_each(|second| pace.moved(2000, after(f64::from(second))));
        assert_eq!(pace.late(after(20.0)), None);
    }

    #[test]
    fn the_servers_turn_costs_nothing() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(1000.0, start);
        pace.pause(after(1));
        assert_eq!(pace.late(after(100)), None);
        pace.resume(after(100));
        assert_eq!((pace.late(after(101)), pace.late(after(102))), (None, Some(Duration::from_secs(1))));
    }
}
