//! Checking the rows of a job before it is one: `mcvn check` in a process of its own.
//!
//! Its own because a table may cost many times its size while it is read: what it takes is a child's memory, which has a
//! bound, and not the server's.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::program::wanted_memory;
use super::record::JobOptions;
use super::{JobError, Jobs, program};
use crate::domain::Violation;

/// More a check has not to say.
const MOST_BYTES: u64 = 1 << 20;
/// No table that can be trained on takes longer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Rows that can be trained on.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Rows {
    pub(super) rows: usize,
    /// Groups among them.
    pub(super) groups: usize,
}

/// The one line of a check.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Verdict {
    Checked(Rows),
    Refused { errors: Vec<Fault> },
}

#[derive(Deserialize)]
struct Fault {
    pointer: String,
    detail: String,
}

/// Checks the data in a folder against the recipe beside it, to the last cell.
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
    // Held open: the child ends when it closes.
    let _stdin = child.stdin.take();
    let (said, complaint, status) = tokio::join!(text(child.stdout.take()), text(child.stderr.take()), child.wait());
    let status = status.map_err(JobError::Io)?;
    match serde_json::from_str(said.trim()) {
        Ok(Verdict::Checked(rows)) => Ok(rows),
        Ok(Verdict::Refused { errors }) => {
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
        // What broke off is no verdict, and is seen there.
        let _ = pipe.take(MOST_BYTES).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
