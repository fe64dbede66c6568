//! Logs on standard error: text for people, JSON lines for machines.
//!
//! A separate thread writes. Under load it writes many lines with one system call, and no request waits for the log's
//! reader. If the reader is too slow, or nobody reads, lines are dropped and counted; neither a request nor the end
//! of the process waits. Each wake-up of the thread takes time from requests on the same cores, so when many lines
//! come, it sleeps after each write and lets lines gather.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, BufWriter, IsTerminal, Write, stderr};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How long the end of the process waits for the last lines to be read.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long lines gather after a write when many come; too short for a reader to notice.
const GATHERING: Duration = Duration::from_millis(1);
/// More lines than this within [`GATHERING`] count as many.
const MANY: u32 = 16;
/// Buffer size: at most this many bytes are written at once.
const WRITTEN_BYTES: usize = 64 << 10;
/// The help for an invalid level.
const LEVELS: &str = "use off, error, warn, info, debug or trace, for one module as in info,mcvn=debug";

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A writer that sleeps after each write when many lines come.
struct Gathering<W> {
    inner: W,
    /// Lines since the last call.
    lines: u32,
    called: Instant,
}

impl<W> Gathering<W> {
    fn new(inner: W) -> Self {
        Self { inner, lines: 0, called: Instant::now() }
    }
}

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines = self.lines.saturating_add(1);
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()?;
        let (lines, since) = (std::mem::take(&mut self.lines), std::mem::replace(&mut self.called, Instant::now()));
        if since.elapsed() * MANY < GATHERING * lines {
            std::thread::sleep(GATHERING);
        }
        Ok(())
    }
}

/// The counter of dropped lines, set when logging starts.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Number of lines that were dropped because the queue was full.
pub fn dropped_lines() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

/// A running log. On drop the waiting lines are written, if somebody reads them in time.
#[must_use]
pub struct Log(Option<WorkerGuard>);

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(guard) = self.0.take() {
            within(LAST_WORDS, move || drop(guard));
        }
    }
}

/// Starts logging, with a queue of `queue_lines` lines. From now on panics are logged, too.
///
/// # Errors
/// A filter that cannot be parsed, or logging that was started before.
pub fn start(
    format: LogFormat,
    level: &str,
    queue_lines: usize,
) -> Result<Log, Box<dyn std::error::Error + Send + Sync>> {
    let filter = filter(level)?;
    let queue = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(queue_lines);
    let (writer, guard) = queue.finish(Gathering::new(BufWriter::with_capacity(WRITTEN_BYTES, stderr())));
    let _ = DROPPED.set(writer.error_counter());
    let (filtered, lines) = (tracing_subscriber::registry().with(filter), tracing_subscriber::fmt::layer());
    let lines = lines.with_writer(writer).with_ansi(stderr().is_terminal());
    match format {
        LogFormat::Text => filtered.with(lines).try_init()?,
        LogFormat::Json => filtered.with(lines.json().flatten_event(true).with_span_list(false)).try_init()?,
    }
    tell_panics();
    Ok(Log(Some(guard)))
}

/// Logs panics. The default hook would write to standard error and wait for its reader.
fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let cause = panic.payload_as_str().unwrap_or("no text");
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(cause, place, backtrace, "panic");
    }));
}

/// Parses a log level: one level for all modules, and other levels for single modules.
///
/// # Errors
/// A text that is not a level, in words. A single unknown word would otherwise be taken as a module's name and
/// silence all other modules.
pub fn filter(text: &str) -> Result<Targets, String> {
    let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return Err(format!("no level is given; {LEVELS}"));
    }
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    // Otherwise a span or a field would be parsed as part of a module's name.
    let is_of_a_module =
        |word: &str| word.split_once('=').is_some_and(|(module, _)| !module.is_empty() && !module.contains('['));
    match words.iter().find(|word| !is_level(word) && !is_of_a_module(word)) {
        Some(word) => Err(format!("\"{word}\" is no level; {LEVELS}")),
        // The parser of `Targets` does not accept spaces.
        None => words.join(",").parse::<Targets>().map_err(|error| format!("\"{text}\": {error}; {LEVELS}")),
    }
}

/// Runs work that may block on a slow reader of our output, but waits for it no longer than `time`.
pub fn within(time: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, waited) = mpsc::channel();
    let work = move || {
        work();
        // The receiver is gone if the work took too long.
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("last-words".to_owned()).spawn(work).is_ok() {
        let _ = waited.recv_timeout(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for text in
            ["warning", "WARNING", "critical", "verbose", "30", "", " ", ",", "info,mcvn=trase", "mcvn", "info,all"]
        {
            let refused = filter(text).expect_err(text);
            assert!(refused.contains("use off, error, warn, info, debug or trace"), "{refused}");
        }
        for text in ["[request]=debug", "mcvn[request]=debug", "info,[a]=trace", "=debug"] {
            let refused = filter(text).expect_err(text);
            assert!(refused.contains("is no level; use off"), "{refused}");
        }
        for text in
            ["off", "error", "WARN", "info", "debug", "trace", "info,mcvn=debug", "mcvn=debug", "warn, mcvn=info"]
        {
            assert!(filter(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_takes_too_long_is_not_waited_for() {
        let start = std::time::Instant::now();
        within(Duration::from_millis(20), || std::thread::sleep(Duration::from_secs(60)));
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
