//! Progress of a training: a bar on a terminal, plain lines elsewhere, JSON lines for programs.

use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use crate::data::{DataSummary, TrainingEvent, TrainingProgress};

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

/// Shows progress over a known number of steps, counted over all phases of the work.
pub(super) struct Reporter {
    format: ProgressFormat,
    bar: Option<ProgressBar>,
    total: usize,
    done: AtomicUsize,
    start: Instant,
    phase: Mutex<Phase>,
}

struct Phase {
    name: &'static str,
    /// The phase's steps: from the steps done before it to those done at its end.
    steps: Range<usize>,
    /// When the last line was shown.
    last: Option<Instant>,
}

/// Least time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

impl Reporter {
    pub(super) fn new(format: ProgressFormat, total: usize) -> Result<Self> {
        let terminal = format == ProgressFormat::Auto && std::io::stderr().is_terminal();
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} steps, {msg}, {eta} left")
            .context("the bar's template")?;
        let bar = terminal.then(|| ProgressBar::new(total as u64).with_style(style));
        let phase = Mutex::new(Phase { name: "", steps: 0..total, last: None });
        Ok(Self { format, bar, total, done: AtomicUsize::new(0), start: Instant::now(), phase })
    }

    /// Begins a phase with this many steps. No step may be under way.
    pub(super) fn phase(&self, name: &'static str, steps: usize) {
        let done = self.done.load(Ordering::Relaxed);
        *self.lock() = Phase { name, steps: done..done + steps, last: None };
    }

    /// Shows a warning in any format.
    pub(super) fn warn(&self, text: &str) {
        match self.format {
            ProgressFormat::Json => print_event(&TrainingEvent::Warning { text: text.to_owned() }),
            _ => eprintln!("mcvn: warning: {text}"),
        }
    }

    /// Shows the summary of the data, before the first step.
    pub(super) fn summary(&self, summary: &DataSummary) {
        for note in &summary.notes {
            match self.format {
                ProgressFormat::Json => print_event(&TrainingEvent::Note { text: note.clone() }),
                _ => eprintln!("mcvn: note: {note}"),
            }
        }
        summary.warnings.iter().for_each(|warning| self.warn(warning));
    }

    /// Counts one more step and shows its loss.
    pub(super) fn step(&self, loss: f64) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
            bar.set_message(format!("{}, loss {loss:.4}", self.lock().name));
            return;
        }
        if self.format == ProgressFormat::None {
            return;
        }
        let Some(phase) = self.due(done) else { return };
        let elapsed = self.start.elapsed().as_secs_f64();
        let eta = elapsed / done as f64 * (self.total.saturating_sub(done)) as f64;
        match self.format {
            ProgressFormat::Json => {
                print_event(&TrainingEvent::Progress(TrainingProgress {
                    phase: phase.to_owned(),
                    step: done as u64,
                    steps: self.total as u64,
                    loss: Some(loss),
                    elapsed_seconds: elapsed,
                    eta_seconds: eta,
                }));
            }
            _ => eprintln!("{phase}: {done}/{} steps, loss {loss:.4}, {eta:.0} s left", self.total),
        }
    }

    /// The phase's name if a line is due: at its first and its last step, and about once a second.
    fn due(&self, done: usize) -> Option<&'static str> {
        let mut phase = self.lock();
        let due = done == phase.steps.end || phase.last.is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
        due.then(|| {
            phase.last = Some(Instant::now());
            phase.name
        })
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Prints one JSON object as a line on standard output. A write error is ignored: the training goes on without a
/// reader.
pub(super) fn print_event(event: &TrainingEvent) {
    if let Ok(line) = serde_json::to_string(event) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

/// A flag that is set by Ctrl-C or SIGTERM, so that the work can end cleanly.
pub(super) fn cancel_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    ctrlc::set_handler(move || raised.store(true, Ordering::Relaxed)).context("cannot listen for Ctrl-C")?;
    Ok(flag)
}
