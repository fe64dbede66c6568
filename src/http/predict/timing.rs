//! Where the time of an answer went, for its client: the `Server-Timing` header.
//!
//! Its own because what it says must be honest: it is measured in consecutive laps, so that the parts never
//! add up to more than the whole.

use std::fmt::Write;
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

use crate::batcher::Answers;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Measures the parts of an answer, one after the other.
#[derive(Debug)]
pub(in crate::http) struct Stopwatch {
    lap: Instant,
    queue: Duration,
    pass: Duration,
    /// `name;dur=milliseconds`, as far as it is written.
    text: String,
}

impl Stopwatch {
    pub(in crate::http) fn start() -> Self {
        Self { lap: Instant::now(), queue: Duration::ZERO, pass: Duration::ZERO, text: String::with_capacity(128) }
    }

    /// Ends a part; the next one begins.
    pub(in crate::http) fn lap(&mut self, name: &str) {
        let now = Instant::now();
        self.write(name, now - self.lap);
        self.lap = now;
    }

    /// Adds the time of samples that have come back from the device.
    pub(in crate::http) fn submitted(&mut self, answers: &Answers) {
        self.queue += answers.queue;
        self.pass += answers.pass;
    }

    /// Ends the part in which samples were with the device; what is left of it belongs to none.
    pub(in crate::http) fn lap_device(&mut self) {
        self.write("queue", self.queue);
        self.write("pass", self.pass);
        self.lap = Instant::now();
    }

    /// Ends the last part and tells the client.
    pub(in crate::http) fn finish(mut self, response: &mut Response) {
        self.lap("render");
        if let Ok(value) = HeaderValue::from_str(&self.text) {
            response.headers_mut().insert(SERVER_TIMING, value);
        }
    }

    /// Milliseconds as the header wants them, with the digits of microseconds.
    fn write(&mut self, name: &str, duration: Duration) {
        let separator = if self.text.is_empty() { "" } else { ", " };
        // Writing into a string cannot fail.
        let micros = duration.as_micros();
        let _ = write!(self.text, "{separator}{name};dur={}.{:03}", micros / 1000, micros % 1000);
    }
}
