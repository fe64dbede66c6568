//! Logs: text for people, JSON lines for machines, both on standard error.
//!
//! Its own because a subscriber is set once for a whole process. A thread of its own writes: under load it puts many
//! lines into one system call, and no request waits for whoever reads the log.

use std::io::{BufWriter, IsTerminal, stderr};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts logging, until the guard is dropped: then what is still to be written is.
///
/// # Errors
/// A filter that cannot be read, or logging that was started before.
pub fn start(format: LogFormat, level: &str) -> Result<WorkerGuard, Box<dyn std::error::Error + Send + Sync>> {
    let filter = EnvFilter::try_new(level)?;
    // No line is lost: where a reader of the log is too slow, the server waits for it.
    let (writer, guard) = NonBlockingBuilder::default().lossy(false).finish(BufWriter::new(stderr()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let builder = builder.with_ansi(stderr().is_terminal());
    match format {
        LogFormat::Text => builder.try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init()?,
    }
    Ok(guard)
}
