//! The events that a training process prints, one JSON object per line. The command line writes them and jobs read
//! them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TrainingEvent {
    /// Progress, about once per second.
    Progress(TrainingProgress),
    /// A warning.
    Warning {
        /// The message.
        text: String,
    },
    /// A note on how the data was read, such as an assumption.
    Note {
        /// The message.
        text: String,
    },
    /// A bundle has been written.
    Done {
        /// Name of the model.
        #[serde(default)]
        name: String,
        /// Its new version.
        version: String,
    },
    /// An unknown event, from a later version of the program.
    #[serde(other)]
    Other,
}

/// The progress of a running job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = JobProgress)]
pub struct TrainingProgress {
    /// The current phase: random folds, grouped folds, training.
    #[serde(default)]
    pub phase: String,
    /// Completed steps of the whole job.
    pub step: u64,
    /// Total number of steps.
    pub steps: u64,
    /// Loss of the last step.
    #[serde(default)]
    pub loss: Option<f64>,
    /// Seconds since the start of the training.
    pub elapsed_seconds: f64,
    /// Estimated seconds left.
    pub eta_seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_programs_know_them() {
        let progress = TrainingProgress {
            phase: "training".to_owned(),
            step: 3,
            steps: 8,
            loss: Some(0.5),
            elapsed_seconds: 1.5,
            eta_seconds: 2.5,
        };
        let done = TrainingEvent::Done { name: "steel".to_owned(), version: "abc".to_owned() };
        for (event, line) in [
            (
                TrainingEvent::Progress(progress),
                r#"{"event":"progress","phase":"training","step":3,"steps":8,"loss":0.5,"elapsed_seconds":1.5,"eta_seconds":2.5}"#,
            ),
            (TrainingEvent::Warning { text: "few rows".to_owned() }, r#"{"event":"warning","text":"few rows"}"#),
            (TrainingEvent::Note { text: "x".to_owned() }, r#"{"event":"note","text":"x"}"#),
            (done, r#"{"event":"done","name":"steel","version":"abc"}"#),
        ] {
            assert_eq!(serde_json::to_string(&event).unwrap(), line);
            assert_eq!(serde_json::from_str::<TrainingEvent>(line).unwrap(), event);
        }
        assert_eq!(serde_json::from_str::<TrainingEvent>(r#"{"event":"new","x":1}"#).unwrap(), TrainingEvent::Other);
    }
}
