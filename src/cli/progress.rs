//! How far a training is: a bar on a terminal, plain lines elsewhere, JSON lines for programs.
//!
//! Its own because three audiences watch the same events.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressFormat {
    /// A bar on a terminal, plain lines elsewhere.
    Auto,
    /// One JSON object a line, on standard output.
    Json,
    /// Nothing.
    None,
}

/// Shows the progress of a known number of steps.
pub(super) struct Reporter {
    format: ProgressFormat,
    bar: Option<ProgressBar>,
    total: usize,
    done: AtomicUsize,
    start: Instant,
    last: Mutex<Option<Instant>>,
}

/// Least time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

impl Reporter {
    pub(super) fn new(format: ProgressFormat, total: usize) -> Result<Self> {
        let terminal = format == ProgressFormat::Auto && std::io::stderr().is_terminal();
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} steps, {msg}, {eta} left")
            .context("the bar's template")?;
        let bar = terminal.then(|| ProgressBar::new(total as u64).with_style(style));
        Ok(Self { format, bar, total, done: AtomicUsize::new(0), start: Instant::now(), last: Mutex::new(None) })
    }

    /// One more step is done; `what` is its loss or the like.
    pub(super) fn step(&self, loss: Option<f64>) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
            bar.set_message(loss.map_or_else(String::new, |loss| format!("loss {loss:.4}")));
            return;
        }
        if self.format == ProgressFormat::None || !self.is_time(done) {
            return;
        }
        let elapsed = self.start.elapsed().as_secs_f64();
        let eta = elapsed / done as f64 * (self.total.saturating_sub(done)) as f64;
        match self.format {
            ProgressFormat::Json => {
                let line = serde_json::json!({
                    "event": "progress", "step": done, "steps": self.total, "loss": loss,
                    "elapsed_seconds": elapsed, "eta_seconds": eta,
                });
                // Whoever reads it may have gone; the training has not.
                let _ = writeln!(std::io::stdout(), "{line}");
            }
            _ => {
                let loss = loss.map_or_else(String::new, |loss| format!(", loss {loss:.4}"));
                eprintln!("{done}/{} steps{loss}, {eta:.0} s left", self.total);
            }
        }
    }

    fn is_time(&self, done: usize) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = done == self.total || last.is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A flag that Ctrl-C (or a polite kill) raises, so that work can end without leaving half of anything.
pub(super) fn cancel_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    ctrlc::set_handler(move || raised.store(true, Ordering::Relaxed)).context("cannot listen for Ctrl-C")?;
    Ok(flag)
}
