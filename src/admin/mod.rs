//! Administration: keys, audit log, jobs, and the right to write models. It exists only if keys are configured.

mod house;
mod keyring;
mod once;

pub use once::{Answer, Once, RepeatError};

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::jobs::{JobError, Jobs, JobsConfig, now, store_file};
use crate::keys::{KeyError, KeyRecord};
use crate::registry::{RegistryError, Writer};
use crate::store::{Store, StoreError};
use keyring::Keyring;

/// Whether there is administration, and where.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// File of admin keys, made by `mcvn admin-key create`; without it there is no administration.
    #[arg(id = "ADMIN_KEYS_FILE", long = "admin-keys-file", env = "MCVN_ADMIN_KEYS_FILE")]
    pub keys_file: Option<PathBuf>,
    /// Address and port for the admin routes alone; without it they stand beside the others.
    #[arg(id = "ADMIN_LISTEN", long = "admin-listen", env = "MCVN_ADMIN_LISTEN")]
    pub listen: Option<String>,
    /// Largest training data, uploaded or in the folder of data files, in bytes [default: 64000000].
    #[arg(long, env = "MCVN_UPLOAD_BYTES")]
    pub upload_bytes: u64,
    /// Longest time for one admin request, uploads included; streams of events are not bound by it.
    #[arg(skip)]
    pub deadline_seconds: f64,
    /// Jobs that are kept when they have ended, the latest; older ones are removed with their rows; 0 for all [default: 0].
    #[arg(long, env = "MCVN_KEEP_JOBS")]
    pub keep_jobs: usize,
    /// Candidates of each model that are kept, the newest; older ones are removed; 0 for all [default: 0].
    #[arg(long, env = "MCVN_KEEP_CANDIDATES")]
    pub keep_candidates: usize,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            keys_file: None,
            listen: None,
            upload_bytes: 64_000_000,
            deadline_seconds: 600.0,
            keep_jobs: 0,
            keep_candidates: 0,
        }
    }
}

/// Why administration does not work although keys are configured.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The keys.
    #[error("admin keys: {0}")]
    Keys(#[from] KeyError),
    /// The job table and the audit log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The models folder that is written to.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The jobs.
    #[error(transparent)]
    Jobs(#[from] JobError),
}

/// The outcome in the audit line that says that an action begins; a second line has the final outcome.
pub const BEGUN: &str = "begun";
/// The outcome of an action that was cut off by the server's end, so that its real outcome is unknown.
const INTERRUPTED: &str = "interrupted";
/// How many audit lines are searched at the start for actions without an outcome.
const LOOKED_THROUGH: usize = 1000;

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// Time (RFC 3339, UTC).
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Name of the key's owner.
    pub by: String,
    /// The action, such as `version.promote`.
    #[schema(example = "version.promote")]
    pub action: String,
    /// The object of the action.
    #[schema(example = "steel-fatigue f4b2669a7d6f")]
    pub target: String,
    /// `begun` before anything is changed, then `ok` or the code of the problem; `interrupted` if the server stopped in
    /// between.
    #[schema(example = "ok")]
    pub outcome: String,
    /// Details: the given reason, the objections that were overridden, the version before.
    pub detail: String,
    /// Id of the request, as in the server's log.
    pub request_id: String,
}

/// Administration, if it is configured.
#[derive(Debug)]
pub struct Admin {
    /// The configuration.
    pub config: AdminConfig,
    /// The jobs.
    pub jobs: Jobs,
    /// The right to write models.
    pub writer: Arc<Writer>,
    /// Answers of earlier requests, for repetitions.
    pub once: Once,
    store: Arc<Store>,
    keys: Keyring,
    /// Why the last line of the audit log could not be written.
    audit_failure: Mutex<Option<String>>,
}

impl Admin {
    /// Opens everything, if keys are configured.
    ///
    /// # Errors
    /// [`AdminError`]: a configured part that does not work is never left out silently.
    pub fn open(config: &AdminConfig, jobs: &JobsConfig, models: &[PathBuf]) -> Result<Option<Self>, AdminError> {
        let Some(keys_file) = config.keys_file.clone() else { return Ok(None) };
        let keys = Keyring::open(keys_file)?;
        let writer = Arc::new(Writer::open(models)?);
        std::fs::create_dir_all(&jobs.state_dir).map_err(JobError::Io)?;
        let store = Arc::new(Store::open(&store_file(&jobs.state_dir))?);
        let jobs = Jobs::open(jobs.clone(), Arc::clone(&store), Arc::clone(&writer))?;
        let (once, audit_failure) = (Once::new(Arc::clone(&store)), Mutex::new(None));
        let admin = Self { config: config.clone(), jobs, writer, once, store, keys, audit_failure };
        admin.end_what_was_begun()?;
        Ok(Some(admin))
    }

    /// Gives every action that was cut off by the server's end the outcome `interrupted`. The files are consistent
    /// even then, because each change on disk is whole.
    fn end_what_was_begun(&self) -> Result<(), StoreError> {
        let mut ended = HashSet::new();
        for (_, line) in self.store.audit::<AuditRecord>(LOOKED_THROUGH)? {
            let AuditRecord { action, target, request_id, outcome, .. } = &line;
            let own = (action.clone(), target.clone(), request_id.clone());
            if outcome != BEGUN {
                ended.insert(own);
            } else if !ended.remove(&own) {
                let detail = "the server ended before it could note the outcome; see what is there".to_owned();
                self.audit(&AuditRecord { at: now(), outcome: INTERRUPTED.to_owned(), detail, ..line })?;
            }
        }
        Ok(())
    }

    /// Finds the record of a key.
    ///
    /// # Errors
    /// A file of keys that can no longer be read.
    pub fn authenticate(&self, key: &str) -> Result<Option<KeyRecord>, KeyError> {
        self.keys.find(key)
    }

    /// Adds a line to the audit log, synced to disk on return.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn audit(&self, record: &AuditRecord) -> Result<(), StoreError> {
        let AuditRecord { by, action, target, outcome, detail, request_id, .. } = record;
        // The field is named `object`, because every log line already has a key `target`.
        tracing::info!(target: "mcvn::audit", by, action, object = target, outcome, detail, request_id, "admin");
        let kept = self.store.append_audit(record).map(|_| ());
        let failure = kept.as_ref().err().map(ToString::to_string);
        *self.audit_failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        kept
    }

    /// Why administration does not work, in words; empty if it works. Reads the file of keys.
    pub fn troubles(&self) -> Vec<String> {
        let audit = self.audit_failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let audit = audit.map(|cause| format!("nothing can be changed, the audit log cannot be written: {cause}"));
        audit.into_iter().chain(self.keys.trouble()).collect()
    }

    /// The latest lines of the audit log with their numbers, newest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn audit_log(&self, most: usize) -> Result<Vec<(u64, AuditRecord)>, StoreError> {
        self.store.audit(most)
    }
}
