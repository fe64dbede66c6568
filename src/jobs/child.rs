//! One training as a child process: `mcvn train`, with its progress as JSON lines.
//!
//! As a process of its own a training cannot harm the server: it has its own memory, CUDA context and niceness, and
//! it can be killed.

use std::fs::File;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::record::Job;
use super::{JobsConfig, program};
use crate::data::TrainingEvent;

/// How to start a training.
pub(super) struct Training<'a> {
    pub(super) config: &'a JobsConfig,
    pub(super) folder: &'a Path,
    pub(super) job: &'a Job,
    pub(super) device: &'a str,
    pub(super) threads: usize,
    /// Folder of the active version, for the comparison.
    pub(super) active: Option<PathBuf>,
}

/// A running training; killed when dropped.
pub(super) struct Running {
    pub(super) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Held open, because the child ends when its standard input closes.
    _stdin: Option<ChildStdin>,
}

impl Training<'_> {
    /// Starts the child. It writes its bundle to `bundle` in the job's folder, and its messages to the log.
    pub(super) fn start(&self, log: File) -> std::io::Result<Running> {
        let options = &self.job.options;
        // The driver of a GPU reserves hundreds of gigabytes of address space.
        let memory = if self.device == "cpu" { self.config.memory_bytes } else { 0 };
        let mut command = program::command(self.config, "train", self.folder, options, memory)?;
        command.args(["--progress", "json", "--report"]);
        command.arg("--out").arg(self.folder.join(super::BUNDLE_FOLDER));
        command.args(["--seed", &options.seed.to_string(), "--folds", &options.folds.to_string()]);
        command.args(["--device", self.device, "--threads", &self.threads.to_string()]);
        command.args(["--created", &self.job.created.to_string()]);
        if !options.confirm.is_empty() {
            let lines: Vec<String> = options.confirm.iter().map(u64::to_string).collect();
            command.args(["--confirm", &lines.join(",")]);
        }
        if let Some(active) = &self.active {
            command.arg("--compare").arg(active);
        }
        command.stderr(log);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| std::io::Error::other("no pipe from the training"))?;
        let stdin = child.stdin.take();
        Ok(Running { child, lines: BufReader::new(stdout).lines(), _stdin: stdin })
    }
}

impl Running {
    /// The next line that can be parsed; `None` when the child has closed its output.
    pub(super) async fn event(&mut self) -> std::io::Result<Option<TrainingEvent>> {
        while let Some(line) = self.lines.next_line().await? {
            if let Ok(event) = serde_json::from_str(&line) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}
