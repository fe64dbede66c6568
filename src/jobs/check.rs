//! Checking the rows of a job before it is queued: `mcvn check` in a process of its own.
//!
//! Reading a table may take many times the table's size in memory. In a child process that memory has a bound, and
//! the server's memory is not affected.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::program::wanted_memory;
use super::record::JobOptions;
use super::{JobError, Jobs, program};
use crate::doctor::DataReport;
use crate::domain::Violation;

/// Largest output of a check that is read, in bytes. A report has at most some thousand findings.
const MOST_BYTES: u64 = 16 << 20;
/// Time limit of a check; tables that can be trained on take less.
const PATIENCE: Duration = Duration::from_secs(600);

/// Rows that can be trained on.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rows {
    pub(super) rows: usize,
    /// Number of groups among the rows.
    pub(super) groups: usize,
    /// What looks wrong in them.
    pub(super) report: DataReport,
}

/// The only line of a check's output.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum CheckOutcome {
    Checked(Rows),
    Refused { errors: Vec<Fault> },
}

#[derive(Deserialize)]
struct Fault {
    pointer: String,
    detail: String,
}

/// Checks every cell of the data in a folder against the recipe next to it.
pub(super) async fn check(jobs: &Jobs, folder: &Path, options: &JobOptions) -> Result<Rows, JobError> {
    let mut stopping = jobs.0.stopping.subscribe();
    tokio::select! {
        checked = tokio::time::timeout(PATIENCE, judge(jobs, folder, options)) => checked.unwrap_or_else(|_| {
            Err(JobError::invalid("/data", format!("checking it took longer than {} s", PATIENCE.as_secs())))
        }),
        _ = stopping.wait_for(|stopping| *stopping) => Err(JobError::Stopping),
    }
}

async fn judge(jobs: &Jobs, folder: &Path, options: &JobOptions) -> Result<Rows, JobError> {
    let memory = jobs.0.config.memory_bytes;
    let mut command = program::command(&jobs.0.config, "check", folder, options, memory).map_err(JobError::Io)?;
    let mut child = command.arg("--json").spawn().map_err(JobError::Io)?;
    // Held open, because the child ends when its standard input closes.
    let _stdin = child.stdin.take();
    let (said, complaint, status) = tokio::join!(text(child.stdout.take()), text(child.stderr.take()), child.wait());
    let status = status.map_err(JobError::Io)?;
    // A long report takes a while to read.
    match tokio::task::spawn_blocking(move || serde_json::from_str(said.trim())).await? {
        Ok(CheckOutcome::Checked(rows)) => Ok(rows),
        Ok(CheckOutcome::Refused { errors }) => {
            let violation = |Fault { pointer, detail }| Violation::new(pointer, detail);
            Err(JobError::Invalid(errors.into_iter().map(violation).collect()))
        }
        Err(_) if memory > 0 && wanted_memory(&complaint) => Err(JobError::invalid(
            "/data",
            format!(
                "checking it takes more than {memory} bytes of memory (job-memory-bytes): send fewer rows or columns"
            ),
        )),
        Err(_) => {
            let last = complaint.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            Err(JobError::Io(std::io::Error::other(format!("the check ended with {status}: {last}"))))
        }
    }
}

async fn text(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // A read error leaves an incomplete line, which counts as no outcome.
        let _ = pipe.take(MOST_BYTES).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
