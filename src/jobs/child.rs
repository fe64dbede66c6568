//! One training as a child process: `mcvn train`, its progress as JSON lines.
//!
//! Its own because a training must not be able to hurt the server: its memory, its CUDA context and its
//! niceness are those of another process, and ending it is ending a process. It dies with the server, too:
//! its standard input closes then, however the server ended.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::record::Job;
use crate::data::TrainingEvent;

/// Priority of a training: it takes what serving leaves.
const NICENESS: &str = "19";

/// How a training is started.
pub(super) struct Training<'a> {
    pub(super) program: &'a Path,
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
    /// The child writes its bundle to `bundle` in the job's folder, and its words to `log.txt`.
    pub(super) fn start(&self) -> std::io::Result<Running> {
        let log = std::fs::File::create(self.folder.join(super::LOG_FILE))?;
        let mut command = Command::new(self.program);
        command.arg("train").args(["--progress", "json", "--report", "--end-with-stdin", "--nice", NICENESS]);
        command.arg("--recipe").arg(self.folder.join(super::RECIPE_FILE));
        command.arg("--data").arg(self.folder.join(super::DATA_FILE));
        command.arg("--out").arg(self.folder.join(super::BUNDLE_FOLDER));
        command.args(["--seed", &self.job.options.seed.to_string()]);
        command.args(["--folds", &self.job.options.folds.to_string()]);
        command.args(["--device", self.device, "--threads", &self.threads.to_string()]);
        command.args(["--created", &self.job.created.to_string()]);
        let options = &self.job.options;
        for (flag, text) in [("--encoding", &options.encoding), ("--sheet", &options.sheet)] {
            command.args(text.iter().map(|text| format!("{flag}={text}")));
        }
        command.args(options.map.iter().map(|pair| format!("--map={pair}")));
        if let Some(active) = &self.active {
            command.arg("--compare").arg(active);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
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
