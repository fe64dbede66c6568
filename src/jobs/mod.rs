//! Retraining jobs: they wait in a queue, run one at a time in child processes, and leave candidates.
//!
//! A job outlives its request and must survive a restart of the server: its files lie in its folder, its record in
//! the store. The module knows the registry and the `train` command, but neither routes nor the models being served.
//! A job never changes which version answers; only a promotion does.

mod check;
mod child;
mod doubts;
mod house;
mod program;
mod record;
mod runner;
mod submit;
#[cfg(test)]
mod tests;
mod upload;

pub use record::{Job, JobData, JobDoubts, JobEvidence, JobOptions, JobProgress, JobState, LossPoint, now};
pub use submit::JobRequest;
pub use upload::{DataSource, Upload};

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::domain::Violation;
use crate::registry::{RegistryError, Writer};
use crate::store::{Store, StoreError};

const JOBS_FOLDER: &str = "jobs";
const UPLOADS_FOLDER: &str = "uploads";
const DATA_FILE: &str = "data.csv";
const RECIPE_FILE: &str = "recipe.toml";
const LOG_FILE: &str = "log.txt";
/// What looks wrong in the data.
const REPORT_FILE: &str = "data-report.json";
/// Start of the names of the files of evidence; a number follows.
const EVIDENCE_FILE: &str = "evidence-";
const BUNDLE_FOLDER: &str = "bundle";
/// How many bytes of the end of a log are shown.
const LOG_TAIL_BYTES: usize = 4_000;
/// Time limit for a cancelled job to end; normally it takes less than a second.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// Where jobs live, and how they run.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobsConfig {
    /// Folder of the job table, the audit log and the jobs' data [default: mcvn-state].
    #[arg(long, env = "MCVN_STATE_DIR")]
    pub state_dir: PathBuf,
    /// Folder whose CSV files a job may name instead of uploading.
    #[arg(long, env = "MCVN_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Jobs that may wait [default: 8].
    #[arg(id = "JOB_QUEUE", long = "job-queue", env = "MCVN_JOB_QUEUE")]
    pub queue: usize,
    /// Threads of a training on a CPU; 0 for half of the cores [default: 0].
    #[arg(id = "JOB_THREADS", long = "job-threads", env = "MCVN_JOB_THREADS")]
    pub threads: usize,
    /// Bytes of memory (address space) that a check of data or a training on a CPU may take; 0 for no bound [default:
    /// 4294967296].
    #[arg(id = "JOB_MEMORY_BYTES", long = "job-memory-bytes", env = "MCVN_JOB_MEMORY_BYTES")]
    pub memory_bytes: u64,
    /// The program whose `check` and `train` are run; the running one where it is not given.
    #[serde(skip)]
    #[arg(skip)]
    pub program: Option<PathBuf>,
}

impl Default for JobsConfig {
    fn default() -> Self {
        let state_dir = PathBuf::from("mcvn-state");
        Self { state_dir, data_dir: None, queue: 8, threads: 0, memory_bytes: 4 << 30, program: None }
    }
}

/// Why a job was not accepted or not found.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The request is invalid; JSON pointers name the fields.
    #[error("invalid: {0:?}")]
    Invalid(Vec<Violation>),
    /// The upload is larger than allowed, in bytes.
    #[error("over {0} bytes")]
    TooLarge(u64),
    /// The queue is full.
    #[error("{0} jobs are waiting already")]
    Full(usize),
    /// No such job.
    #[error("there is no job {0}")]
    NotFound(u64),
    /// The job's rows were accepted by an earlier version of the program, which did not examine them.
    #[error("the rows of job {0} were never examined")]
    NotExamined(u64),
    /// No such model, or one without a recipe.
    #[error("there is no model {0} with a recipe")]
    NoModel(String),
    /// The job has ended.
    #[error("job {0} has ended: it {1}; DELETE with ?remove=true removes it")]
    Ended(u64, &'static str),
    /// The job has not ended.
    #[error("job {0} is {1}: cancel it before it is removed")]
    Unended(u64, &'static str),
    /// A job of the model waits or runs.
    #[error("{0} has a job: job {1} is {2}; cancel it, or wait for its end")]
    Busy(String, u64, &'static str),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// A file system error.
    #[error("jobs: {0}")]
    Io(io::Error),
    /// A store error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A models folder error.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A task panicked.
    #[error("jobs: {0}")]
    Join(#[from] tokio::task::JoinError),
}

impl JobError {
    fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation::new(pointer, detail)])
    }
}

/// All jobs of a server; cheap to clone.
#[derive(Clone, Debug)]
pub struct Jobs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: JobsConfig,
    store: Arc<Store>,
    writer: Arc<Writer>,
    /// Never held during disk access, so that reading never waits for the disk.
    jobs: Mutex<BTreeMap<u64, Job>>,
    /// Held while data is checked.
    checking: tokio::sync::Mutex<()>,
    /// Held while a job is created, changes its state, or is removed: on disk first, then in memory, one job at a
    /// time.
    changing: Mutex<()>,
    /// Counts changes; everything that waits for a job watches this.
    changed: watch::Sender<u64>,
    /// The job that must end now.
    cancelled: watch::Sender<Option<u64>>,
    stopping: watch::Sender<bool>,
}

impl Jobs {
    /// Reads the job table. Jobs that were running when the server ended become `interrupted`; waiting jobs keep
    /// waiting.
    ///
    /// # Errors
    /// [`JobError`] if the folder or the store cannot be used.
    pub fn open(config: JobsConfig, store: Arc<Store>, writer: Arc<Writer>) -> Result<Self, JobError> {
        std::fs::create_dir_all(config.state_dir.join(JOBS_FOLDER)).map_err(JobError::Io)?;
        // Incomplete uploads of a killed server are useless.
        let uploads = config.state_dir.join(UPLOADS_FOLDER);
        if uploads.exists() {
            std::fs::remove_dir_all(&uploads).map_err(JobError::Io)?;
        }
        std::fs::create_dir_all(&uploads).map_err(JobError::Io)?;
        let mut jobs: BTreeMap<u64, Job> = store.jobs()?.into_iter().collect();
        for (id, job) in jobs.iter_mut().filter(|(_, job)| job.state == JobState::Running) {
            job.finish(JobState::Interrupted, Some("the server ended while it ran".to_owned()));
            store.put_job(*id, job)?;
        }
        let shared = Shared {
            config,
            store,
            writer,
            jobs: Mutex::new(jobs),
            checking: tokio::sync::Mutex::new(()),
            changing: Mutex::new(()),
            changed: watch::Sender::new(0),
            cancelled: watch::Sender::new(None),
            stopping: watch::Sender::new(false),
        };
        let jobs = Self(Arc::new(shared));
        jobs.sweep()?;
        Ok(jobs)
    }

    /// Starts to receive a file.
    ///
    /// # Errors
    /// A file system error.
    pub fn receive(&self, name: &str, most_bytes: u64) -> Result<Upload, JobError> {
        Upload::begin(&self.0.config.state_dir.join(UPLOADS_FOLDER), name, most_bytes).map_err(JobError::Io)
    }

    /// All jobs, latest first.
    pub fn list(&self) -> Vec<Job> {
        self.lock().values().rev().cloned().collect()
    }

    /// One job.
    ///
    /// # Errors
    /// [`JobError::NotFound`]
    pub fn get(&self, id: u64) -> Result<Job, JobError> {
        self.lock().get(&id).cloned().ok_or(JobError::NotFound(id))
    }

    /// How many jobs are in each state.
    pub fn count(&self) -> Vec<(&'static str, u64)> {
        let jobs = self.lock();
        let count = |state| jobs.values().filter(|job| job.state == state).count() as u64;
        JobState::ALL.into_iter().map(|state| (state.name(), count(state))).collect()
    }

    /// The end of a job's log.
    pub fn log_tail(&self, id: u64) -> String {
        let bytes = std::fs::read(self.folder(id).join(LOG_FILE)).unwrap_or_default();
        let tail = &bytes[bytes.len().saturating_sub(LOG_TAIL_BYTES)..];
        String::from_utf8_lossy(tail).into_owned()
    }

    /// Ends a job: a waiting one at once, a running one within a second.
    ///
    /// # Errors
    /// [`JobError::NotFound`], or [`JobError::Ended`] if it has ended already.
    pub async fn cancel(&self, id: u64) -> Result<Job, JobError> {
        let jobs = self.clone();
        if let Some(job) = tokio::task::spawn_blocking(move || jobs.cancel_waiting(id)).await?? {
            return Ok(job);
        }
        let ended = async {
            let mut changes = self.changes();
            loop {
                let job = self.get(id)?;
                if job.state.is_final() || changes.changed().await.is_err() {
                    return Ok(job);
                }
            }
        };
        let job = tokio::time::timeout(CANCEL_PATIENCE, ended).await.unwrap_or_else(|_| self.get(id))?;
        match job.state {
            JobState::Succeeded | JobState::Failed | JobState::Interrupted => {
                Err(JobError::Ended(id, job.state.name()))
            }
            _ => Ok(job),
        }
    }

    /// Ends a waiting job; signals a running one to end.
    fn cancel_waiting(&self, id: u64) -> Result<Option<Job>, JobError> {
        let _alone = self.alone();
        let mut job = self.get(id)?;
        match job.state {
            JobState::Queued => {
                job.finish(JobState::Cancelled, None);
                self.0.store.put_job(id, &job)?;
                self.put(job.clone());
                Ok(Some(job))
            }
            JobState::Running => {
                self.0.cancelled.send_replace(Some(id));
                Ok(None)
            }
            ended => Err(JobError::Ended(id, ended.name())),
        }
    }

    /// Receives a change whenever any job has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Whether the server is stopping; then jobs do not change any more.
    pub fn is_stopping(&self) -> bool {
        *self.0.stopping.borrow()
    }

    /// Runs jobs on a device, one after the other, until [`Jobs::stop`].
    pub async fn run(self, device: String) {
        runner::run(&self, &device).await;
    }

    /// Ends the running job as `interrupted`, and ends all waits for changes.
    pub fn stop(&self) {
        self.0.stopping.send_replace(true);
        self.tell();
    }

    fn folder(&self, id: u64) -> PathBuf {
        self.0.config.state_dir.join(JOBS_FOLDER).join(id.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Job>> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.0.changed.send_modify(|count| *count += 1);
    }

    /// Stores a job in memory.
    fn put(&self, job: Job) {
        self.lock().insert(job.id, job);
        self.tell();
    }

    /// Updates the running job, in memory only.
    fn note(&self, id: u64, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.lock().get_mut(&id) {
            change(job);
        }
        self.tell();
    }

    /// Changes the state of a job if `may` accepts its current state, on disk and in memory; returns whether it did.
    /// Only the runner calls this, so that no update of the running job gets lost.
    async fn settle(&self, id: u64, may: fn(JobState) -> bool, change: impl FnOnce(&mut Job) + Send + 'static) -> bool {
        let jobs = self.clone();
        let settled = move || {
            let _alone = jobs.alone();
            let Some(mut job) = jobs.get(id).ok().filter(|job| may(job.state)) else { return false };
            change(&mut job);
            if let Err(error) = jobs.0.store.put_job(id, &job) {
                // The job goes on; after a restart it is listed in its previous state.
                tracing::error!(job = id, %error, "the job's record could not be kept");
            }
            jobs.put(job);
            true
        };
        tokio::task::spawn_blocking(settled).await.unwrap_or(false)
    }
}

/// Path of the file with the job table and the audit log of a folder.
pub fn store_file(state_dir: &Path) -> PathBuf {
    state_dir.join("mcvn.redb")
}
