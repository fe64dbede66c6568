//! Retention of jobs and candidates: keeps the configured number of each, or all if none is configured.
//!
//! Each removal is written to the audit log, as if a person had asked for it.

use std::sync::Arc;

use super::{Admin, AuditRecord, BEGUN};
use crate::jobs::now;

/// The name in the audit log for these removals.
const BY: &str = "(retention)";

impl Admin {
    /// Removes what exceeds the configured numbers, now and whenever a job has ended, until the jobs stop.
    pub async fn keep_house(self: Arc<Self>) {
        let (mut changes, mut ended) = (self.jobs.changes(), None);
        while !self.jobs.is_stopping() {
            let now = self.jobs.ended();
            if ended.replace(now) != Some(now) {
                let admin = Arc::clone(&self);
                let _ = tokio::task::spawn_blocking(move || admin.remove_old()).await;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn remove_old(&self) {
        let keep = |most: usize| (most > 0).then_some(most);
        for id in keep(self.config.keep_jobs).map(|most| self.jobs.old(most)).into_iter().flatten() {
            self.noted("job.remove", &format!("job {id}"), || self.jobs.remove_blocking(id));
        }
        let candidates = keep(self.config.keep_candidates).map(|most| self.writer.old_candidates(most));
        match candidates.transpose() {
            Ok(old) => old.into_iter().flatten().for_each(|(model, version)| {
                let target = format!("{model} {version}");
                self.noted("version.remove", &target, || self.writer.remove(&model, &version));
            }),
            Err(error) => tracing::error!(%error, "old candidates are not removed"),
        }
    }

    /// Runs an action and writes it to the audit log. If the log cannot be written, the action is not run.
    fn noted<T, E: std::fmt::Display>(&self, action: &str, target: &str, work: impl FnOnce() -> Result<T, E>) {
        let record = |outcome: &str, detail: String| AuditRecord {
            at: now(),
            by: BY.to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            outcome: outcome.to_owned(),
            detail,
            request_id: String::new(),
        };
        if let Err(error) = self.audit(&record(BEGUN, String::new())) {
            tracing::error!(%error, object = target, "not removed: it cannot be noted");
            return;
        }
        let outcome = match work() {
            Ok(_) => record("ok", String::new()),
            Err(error) => record("internal", error.to_string()),
        };
        if let Err(error) = self.audit(&outcome) {
            tracing::error!(%error, object = target, "the outcome could not be kept in the audit log");
        }
    }
}
