//! Creating a job: its files are stored and every cell is checked, then it gets a number, then its record.
//!
//! This order guarantees that a listed job has all it needs and that a refused request leaves nothing behind.

use std::fs;
use std::io;
use std::path::PathBuf;

use tempfile::TempDir;

use super::check::{Rows, check};
use super::record::{Job, JobData, JobDoubts, JobEvidence, JobOptions, JobState, now};
use super::upload::{DataSource, Found, Upload};
use super::{DATA_FILE, EVIDENCE_FILE, JobError, Jobs, RECIPE_FILE, UPLOADS_FOLDER, doubts, house};
use crate::data::{Recipe, RecipeError};
use crate::files;
use crate::registry;
use crate::tables::{Charset, Mapping};

/// A request for a job.
#[derive(Debug)]
pub struct JobRequest {
    /// The model to retrain.
    pub model: String,
    /// The rows.
    pub data: DataSource,
    /// The files of evidence that came with the rows, in the order of the recipe's entries. Without any, rows of the
    /// server bring those that lie beside them.
    pub evidence: Vec<Upload>,
    /// Largest size of a file in bytes, wherever it comes from.
    pub most_bytes: u64,
    /// The options.
    pub options: JobOptions,
    /// Name of the key that asks.
    pub by: String,
}

/// The files of a job that has no number yet; removed unless it gets one.
struct Staged {
    room: TempDir,
    data: JobData,
    /// What looks wrong in the data, once it was examined.
    doubts: Option<JobDoubts>,
}

/// Name of the folder of a staged job within its temporary folder.
const STAGED_FOLDER: &str = "job";

impl Staged {
    fn folder(&self) -> PathBuf {
        self.room.path().join(STAGED_FOLDER)
    }
}

impl Jobs {
    /// Checks every row of the data, and queues the job.
    ///
    /// # Errors
    /// [`JobError`]; nothing is queued then.
    pub async fn submit(&self, request: JobRequest) -> Result<Job, JobError> {
        let JobRequest { model, data, evidence, most_bytes, options, by } = request;
        // Each check may take as much memory as a training, so only one runs at a time.
        let _turn = self.0.checking.lock().await;
        if self.is_stopping() {
            return Err(JobError::Stopping);
        }
        self.check_room()?;
        let (jobs, named, asked) = (self.clone(), model.clone(), options.clone());
        let stage = move || jobs.stage(&named, (data, evidence), &asked, most_bytes);
        let mut staged = tokio::task::spawn_blocking(stage).await??;
        let Rows { rows, groups, report } = check(self, &staged.folder(), &options).await?;
        (staged.data.rows, staged.data.groups) = (rows, groups);
        let jobs = self.clone();
        let made = move || {
            staged.doubts = Some(doubts::judge(&report, &options)?);
            doubts::keep(&report, &staged.folder())?;
            jobs.make(&staged, model, options, by)
        };
        tokio::task::spawn_blocking(made).await?
    }

    fn check_room(&self) -> Result<(), JobError> {
        let waiting = self.lock().values().filter(|job| job.state == JobState::Queued).count();
        if waiting >= self.0.config.queue { Err(JobError::Full(waiting)) } else { Ok(()) }
    }

    /// Puts recipe and data into a folder with the layout of a job's folder.
    fn stage(
        &self,
        model: &str,
        (data, evidence): (DataSource, Vec<Upload>),
        options: &JobOptions,
        most_bytes: u64,
    ) -> Result<Staged, JobError> {
        let recipe = registry::recipe(self.0.writer.folders(), model)?;
        let recipe = recipe.ok_or_else(|| JobError::NoModel(model.to_owned()))?;
        check_options(options)?;
        let damaged = |error: RecipeError| JobError::invalid("/model", format!("its recipe: {error}"));
        let named = Recipe::parse(&recipe).map_err(damaged)?.evidence;
        let config = &self.0.config;
        let evidence: Vec<Found> = match evidence.is_empty() {
            true => data.evidence(&named, config.data_dir.as_deref(), |id| self.folder(id)),
            false => evidence.into_iter().map(Found::from).collect(),
        };
        let found = data.find(config.data_dir.as_deref(), |id| self.folder(id), most_bytes)?;
        let room = TempDir::new_in(config.state_dir.join(UPLOADS_FOLDER)).map_err(JobError::Io)?;
        let folder = room.path().join(STAGED_FOLDER);
        fs::create_dir(&folder).map_err(JobError::Io)?;
        fs::write(folder.join(RECIPE_FILE), recipe).map_err(JobError::Io)?;
        let (file, sha256) = found.put(&folder.join(DATA_FILE), most_bytes)?;
        let mut written = vec![folder.join(RECIPE_FILE), folder.join(DATA_FILE)];
        let mut kept = Vec::with_capacity(evidence.len());
        for (number, found) in evidence.into_iter().enumerate() {
            written.push(folder.join(format!("{EVIDENCE_FILE}{number}")));
            let (file, sha256) = found.put(&written[number + 2], most_bytes)?;
            kept.push(JobEvidence { file, sha256 });
        }
        written.push(folder);
        written.iter().try_for_each(|path| files::sync(path)).map_err(JobError::Io)?;
        Ok(Staged { room, data: JobData { file, sha256, rows: 0, groups: 0, evidence: kept }, doubts: None })
    }

    /// Creates the job. Its folder is complete before its record is written.
    fn make(&self, staged: &Staged, model: String, options: JobOptions, by: String) -> Result<Job, JobError> {
        let _alone = self.alone();
        self.check_room()?;
        // The model may have been removed while its rows were checked.
        if registry::recipe(self.0.writer.folders(), &model)?.is_none() {
            return Err(JobError::NoModel(model));
        }
        // A folder without a record may come from a store that was lost; its rows are kept.
        let id = loop {
            let id = self.0.store.next_job()?;
            if !self.folder(id).exists() {
                break id;
            }
        };
        self.keep(staged, id).map_err(JobError::Io)?;
        let job = Job {
            id,
            state: JobState::Queued,
            model,
            by,
            created: now(),
            started: None,
            finished: None,
            data: staged.data.clone(),
            doubts: staged.doubts.clone(),
            options,
            progress: None,
            losses: Vec::new(),
            version: None,
            warnings: Vec::new(),
            notes: Vec::new(),
            error: None,
        };
        self.0.store.put_job(id, &job)?;
        house::unmark(&self.folder(id));
        self.put(job.clone());
        Ok(job)
    }

    /// Moves the files to the job's folder, marked until there is a record.
    fn keep(&self, staged: &Staged, id: u64) -> io::Result<()> {
        let folder = self.folder(id);
        house::mark(&staged.folder())?;
        files::give_place(&staged.folder(), &folder)
    }
}

/// Checks the options as far as possible without the data.
fn check_options(options: &JobOptions) -> Result<(), JobError> {
    if !(2..=10).contains(&options.folds) {
        return Err(JobError::invalid("/folds", "must be from 2 to 10"));
    }
    let encoding = options.encoding.as_deref().map(str::parse::<Charset>).transpose();
    encoding.map_err(|detail| JobError::invalid("/encoding", detail))?;
    let pairs: Result<Vec<_>, _> = options.map.iter().map(|text| Mapping::pair(text)).collect();
    pairs.map(|_| ()).map_err(|detail| JobError::invalid("/map", detail))
}
