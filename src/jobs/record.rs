//! The record of a job: its request, its progress and its outcome. It is stored on disk and shown to clients.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::data::TrainingProgress as JobProgress;

/// Where a job stands. A job goes from `queued` to `running` and from there to one of the others, or from
/// `queued` to `cancelled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for the one before it.
    Queued,
    /// Trains.
    Running,
    /// Has left a candidate.
    Succeeded,
    /// Has ended without one; `error` says why.
    Failed,
    /// Was ended by a person.
    Cancelled,
    /// Was ended by the server's own end; its data is kept.
    Interrupted,
}

impl JobState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled, Self::Interrupted];

    /// The state's name, as in answers.
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

/// What the client decides besides model and data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobOptions {
    /// Seed of everything random: the same data, recipe and seed give the same version.
    pub seed: u64,
    /// Folds of the cross-validation, under each protocol.
    pub folds: usize,
    /// Encoding of the data, where it is not to be guessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Sheet of a workbook, by name or by number from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// What columns are, as `COLUMN=FIELD`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<String>,
}

/// The rows a job trains on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobData {
    /// Name of the file as the client gave it.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Rows, all of them checked.
    pub rows: usize,
    /// Groups (heats, alloys, chemical systems) among them.
    pub groups: usize,
}

/// One point of the loss curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LossPoint {
    /// Steps done, over the whole job.
    pub step: u64,
    /// The loss.
    pub loss: f64,
}

/// One retraining.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// Where it stands.
    pub state: JobState,
    /// The model that it retrains.
    pub model: String,
    /// Whose key asked for it.
    pub by: String,
    /// When it was accepted (RFC 3339, UTC).
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished: Option<Timestamp>,
    /// The rows.
    pub data: JobData,
    /// The options, defaults filled in.
    pub options: JobOptions,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<JobProgress>,
    /// The loss curve, thinned.
    #[serde(default)]
    pub losses: Vec<LossPoint>,
    /// The candidate that came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What its data and its report warn of, and that the candidate is the same version as an earlier one.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What was taken for granted, filled in or left out when the data was read.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Why there is no candidate.
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
