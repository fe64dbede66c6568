//! The `Server-Timing` header: the time spent on the parts of a response.
//!
//! The parts are consecutive, so their sum never exceeds the total.

use std::fmt::Write;
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

use crate::batcher::Answers;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Measures the parts of a response, one after the other.
#[derive(Debug)]
pub(in crate::http) struct Stopwatch {
    lap: Instant,
    queue: Duration,
    pass: Duration,
    /// The header value so far: `name;dur=milliseconds` for each part.
    text: String,
}

impl Stopwatch {
    pub(in crate::http) fn start() -> Self {
        Self { lap: Instant::now(), queue: Duration::ZERO, pass: Duration::ZERO, text: String::with_capacity(128) }
    }

    /// Ends a part and begins the next one.
    pub(in crate::http) fn lap(&mut self, name: &str) {
        let now = Instant::now();
        self.write(name, now - self.lap);
        self.lap = now;
    }

    /// Adds the times of samples that the device has answered.
    pub(in crate::http) fn submitted(&mut self, answers: &Answers) {
        self.queue += answers.queue;
        self.pass += answers.pass;
    }

    /// Ends the part in which samples were with the device. Time that is neither queue nor pass is not reported.
    pub(in crate::http) fn lap_device(&mut self) {
        self.write("queue", self.queue);
        self.write("pass", self.pass);
        self.lap = Instant::now();
    }

    /// Ends the last part and sets the header.
    pub(in crate::http) fn finish(mut self, response: &mut Response) {
        self.lap("render");
        if let Ok(value) = HeaderValue::from_str(&self.text) {
            response.headers_mut().insert(SERVER_TIMING, value);
        }
    }

    /// Appends a part, in milliseconds with three decimals.
    fn write(&mut self, name: &str, duration: Duration) {
        let separator = if self.text.is_empty() { "" } else { ", " };
        // Writing into a string cannot fail.
        let micros = duration.as_micros();
        let _ = write!(self.text, "{separator}{name};dur={}.{:03}", micros / 1000, micros % 1000);
    }
}
