//! One training as a child process: `mcvn train`, its progress as JSON lines.
//!
//! Its own because a training must not be able to hurt the server: its memory, its CUDA context and its
//! niceness are those of another process, and ending it is ending a process.

use std::fs::File;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::record::Job;
use super::{JobsConfig, program};
use crate::data::TrainingEvent;

/// How a training is started.
pub(super) struct Training<'a> {
    pub(super) config: &'a JobsConfig,
    pub(super) folder: &'a Path,
    pub(super) job: &'a Job,
    pub(super) device: &'a str,
    pub(super) threads: usize,
    /// The version in use, to compare with.
    pub(super) active: Option<PathBuf>,
}

/// A training under way; dropped, it is killed.
pub(super) struct Running {
    pub(super) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Held open: the child ends when it closes.
    _stdin: Option<ChildStdin>,
}

impl Training<'_> {
    /// The child writes its bundle to `bundle` in the job's folder, and its words to the log.
    pub(super) fn start(&self, log: File) -> std::io::Result<Running> {
        let options = &self.job.options;
        // The driver of a GPU reserves address space by the hundred gigabytes.
        let memory = if self.device == "cpu" { self.config.memory_bytes } else { 0 };
        let mut command = program::command(self.config, "train", self.folder, options, memory)?;
        command.args(["--progress", "json", "--report"]);
        command.arg("--out").arg(self.folder.join(super::BUNDLE_FOLDER));
        command.args(["--seed", &options.seed.to_string(), "--folds", &options.folds.to_string()]);
        command.args(["--device", self.device, "--threads", &self.threads.to_string()]);
        command.args(["--created", &self.job.created.to_string()]);
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
    /// The next line that can be understood; `None` when the child has closed its output.
    pub(super) async fn event(&mut self) -> std::io::Result<Option<TrainingEvent>> {
        while let Some(line) = self.lines.next_line().await? {
            if let Ok(event) = serde_json::from_str(&line) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}
