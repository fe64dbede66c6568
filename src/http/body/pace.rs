//! Whether a client moves its bytes as fast as it should.
//!
//! Its own because bodies, streams and answers ask the same: while it is the client's turn, time runs; bytes that move give
//! time back, up to a little. So a burst of bytes pays for no long silence, and the server's own work costs nobody anything.

use std::time::{Duration, Instant};

/// Whoever has just begun may be silent for so long, and nobody earns more.
const GRACE: Duration = Duration::from_secs(2);

/// The time that a client has left.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Pace {
    /// Bytes a second that it must move.
    least: f64,
    /// Its time is over then, as long as it is its turn.
    until: Instant,
    /// Since when it is the server's turn.
    paused: Option<Instant>,
}

impl Pace {
    /// It is the client's turn, now.
    pub(in crate::http) fn new(least: f64, now: Instant) -> Self {
        Self { least, until: now + GRACE, paused: None }
    }

    /// Bytes have moved; it is still the client's turn.
    pub(in crate::http) fn moved(&mut self, bytes: usize, now: Instant) {
        self.resume(now);
        let earned = Duration::try_from_secs_f64(bytes as f64 / self.least).map_or(GRACE, |time| time.min(GRACE));
        self.until = (self.until + earned).min(now + GRACE);
    }

    /// The server has to do something before the client can.
    pub(in crate::http) fn pause(&mut self, now: Instant) {
        self.paused.get_or_insert(now);
    }

    /// It is the client's turn.
    pub(in crate::http) fn resume(&mut self, now: Instant) {
        if let Some(since) = self.paused.take() {
            self.until += now - since;
        }
    }

    /// For how long the client has been too slow; `None` where it is not.
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
        // A byte now and then makes up for nothing.
        (2..9).for_each(|second| pace.moved(1, after(f64::from(second))));
        assert!(pace.late(after(9.0)).is_some());
        // What it should move, and more, does.
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
