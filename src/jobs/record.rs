//! The record of a job: its request, its progress and its outcome. It is stored on disk and shown to clients.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::data::TrainingProgress as JobProgress;
use crate::doctor::DataReportSummary;

/// The state of a job. A job goes from `queued` to `running` and from there to one of the others, or from `queued` to
/// `cancelled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for earlier jobs.
    Queued,
    /// The training runs.
    Running,
    /// Ended, with a candidate version.
    Succeeded,
    /// Ended without a candidate; `error` gives the reason.
    Failed,
    /// Cancelled by a client.
    Cancelled,
    /// Interrupted because the server stopped; its data is kept.
    Interrupted,
}

impl JobState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled, Self::Interrupted];

    /// The state's name, as in responses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether the state is final.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// The options of a job that the client can choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobOptions {
    /// Random seed: the same data, recipe and seed give the same version.
    pub seed: u64,
    /// Number of cross-validation folds, for each protocol.
    pub folds: usize,
    /// Encoding of the data; detected if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Sheet of a workbook, by name or by number from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Meaning of columns, as `COLUMN=FIELD`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<String>,
    /// Refuse the job if a row looks wrong and is not confirmed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// Lines of rows that look wrong and are right all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confirm: Vec<u64>,
}

/// What looks wrong in the rows of a job, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobDoubts {
    /// Number of findings of each kind, and of doubted rows.
    #[serde(flatten)]
    pub found: DataReportSummary,
    /// Number of doubted rows that were not confirmed. A candidate that learned from any carries an objection.
    pub unconfirmed_rows: usize,
}

/// The training data of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobData {
    /// Name of the file, as given by the client.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Number of rows; all of them are checked.
    pub rows: usize,
    /// Number of groups (heats, alloys, chemical systems) among the rows.
    pub groups: usize,
    /// The files of evidence; omitted if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<JobEvidence>,
}

/// A file with evidence of what further alloys are not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobEvidence {
    /// Name of the file, as given by the client.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// One point of the loss curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LossPoint {
    /// Completed steps of the whole job.
    pub step: u64,
    /// The loss.
    pub loss: f64,
}

/// One retraining job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Number of the job.
    pub id: u64,
    /// State of the job.
    pub state: JobState,
    /// Name of the model that it retrains.
    pub model: String,
    /// Name of the owner of the key that started it.
    pub by: String,
    /// When it was accepted (RFC 3339, UTC).
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it started (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started: Option<Timestamp>,
    /// When it ended (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished: Option<Timestamp>,
    /// The training data.
    pub data: JobData,
    /// What looks wrong in the data; `GET /admin/jobs/{id}/data` has every finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubts: Option<JobDoubts>,
    /// The options, including defaults.
    pub options: JobOptions,
    /// The latest progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<JobProgress>,
    /// The loss curve, at most 200 points.
    #[serde(default)]
    pub losses: Vec<LossPoint>,
    /// The candidate version that it produced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Warnings from its data and its report, and a warning if the candidate is the same version as an earlier one.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What was assumed, filled in or left out when the data was read.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Why there is no candidate version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The current time, to the millisecond; more digits would only be harder to read.
pub fn now() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// Largest number of points of the loss curve; beyond it, every other point is dropped.
const MOST_LOSSES: usize = 200;

impl Job {
    /// Records the progress.
    pub(super) fn advance(&mut self, progress: JobProgress) {
        if let Some(loss) = progress.loss {
            self.losses.push(LossPoint { step: progress.step, loss });
            if self.losses.len() > MOST_LOSSES {
                let mut keep = false;
                self.losses.retain(|_| {
                    keep = !keep;
                    keep
                });
            }
        }
        self.progress = Some(progress);
    }

    /// Records the end.
    pub(super) fn finish(&mut self, state: JobState, error: Option<String>) {
        self.state = state;
        self.error = error;
        self.finished = Some(now());
        if let Some(progress) = &mut self.progress {
            progress.eta_seconds = 0.0;
        }
    }
}
