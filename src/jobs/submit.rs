//! How a job comes to be: checked to the last cell, its files kept, then its record.
//!
//! Its own because the order matters: a job that is listed has all it needs, and a request that is refused
//! leaves nothing.

use std::io;
use std::sync::PoisonError;

use super::record::{Job, JobData, JobOptions, JobState, StoredJob, now};
use super::upload::DataSource;
use super::{DATA_FILE, JobError, Jobs, RECIPE_FILE};
use crate::data::{DataError, Dataset, Recipe, RecipeError};
use crate::registry;
use crate::tables::{Charset, Mapping, ReadOptions};

/// A request for a job.
#[derive(Debug)]
pub struct JobRequest {
    /// The model to retrain.
    pub model: String,
    /// The rows.
    pub data: DataSource,
    /// The options.
    pub options: JobOptions,
    /// Whose key asks.
    pub by: String,
    /// The client's key for this very request.
    pub idempotency_key: Option<String>,
}

impl Jobs {
    /// Checks every row of the data, and queues the job. The same idempotency key with the same request
    /// gives the job that is there already (`false`: nothing new).
    ///
    /// # Errors
    /// [`JobError`]; nothing is queued then.
    pub async fn submit(&self, request: JobRequest) -> Result<(Job, bool), JobError> {
        let jobs = self.clone();
        tokio::task::spawn_blocking(move || jobs.submit_blocking(request)).await?
    }

    fn submit_blocking(&self, request: JobRequest) -> Result<(Job, bool), JobError> {
        if *self.0.stopping.borrow() {
            return Err(JobError::Stopping);
        }
        let JobRequest { model, data, options, by, idempotency_key } = request;
        let recipe_text = registry::recipe(self.0.writer.folders(), &model)?;
        let recipe_text =
            recipe_text.ok_or_else(|| JobError::invalid("/model", format!("there is no model {model}")))?;
        let damaged = |error: RecipeError| JobError::invalid("/model", format!("its recipe: {error}"));
        let recipe = Recipe::parse(&recipe_text).map_err(damaged)?;
        if !(2..=10).contains(&options.folds) {
            return Err(JobError::invalid("/folds", "must be from 2 to 10"));
        }
        let found = data.find(self.0.config.data_dir.as_deref(), |id| self.folder(id))?;
        let bytes = std::fs::read(&found.path).map_err(JobError::Io)?;
        let (reading, mapping) = reading(&options)?;
        let rows = Dataset::read_as(&bytes, &recipe, &reading, &mapping).map_err(complaints)?;
        let all: Vec<usize> = (0..rows.samples.len()).collect();
        let data = JobData {
            file: found.name.clone(),
            sha256: rows.sha256.clone(),
            rows: all.len(),
            groups: rows.count_groups(&all),
        };

        let _alone = self.0.making.lock().unwrap_or_else(PoisonError::into_inner);
        let idempotency_key = idempotency_key.map(|key| format!("{by}\n{key}"));
        let id = {
            let jobs = self.lock();
            let mut known = jobs.values().filter(|stored| stored.idempotency_key.is_some());
            if let Some(StoredJob { job, .. }) = known.find(|stored| stored.idempotency_key == idempotency_key) {
                let same = job.model == model && job.data.sha256 == data.sha256 && job.options == options;
                return if same { Ok((job.clone(), false)) } else { Err(JobError::KeyReused(job.id)) };
            }
            let waiting = jobs.values().filter(|stored| stored.job.state == JobState::Queued).count();
            if waiting >= self.0.config.queue {
                return Err(JobError::Full(waiting));
            }
            jobs.last_key_value().map_or(1, |(last, _)| last + 1)
        };
        self.keep_files(id, &bytes, &recipe_text).map_err(JobError::Io)?;
        let job = Job {
            id,
            state: JobState::Queued,
            model,
            by,
            created: now(),
            started: None,
            finished: None,
            data,
            options,
            progress: None,
            losses: Vec::new(),
            version: None,
            warnings: Vec::new(),
            notes: Vec::new(),
            error: None,
        };
        let stored = StoredJob { job: job.clone(), idempotency_key };
        self.0.store.put_job(id, &stored)?;
        self.lock().insert(id, stored);
        self.tell();
        Ok((job, true))
    }

    /// The job's folder holds all it needs before its record says that it is there.
    fn keep_files(&self, id: u64, data: &[u8], recipe: &str) -> io::Result<()> {
        let folder = self.folder(id);
        // Left by a server that was killed between the two.
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        for (name, bytes) in [(DATA_FILE, data), (RECIPE_FILE, recipe.as_bytes())] {
            let mut file = std::fs::File::create(folder.join(name))?;
            io::Write::write_all(&mut file, bytes)?;
            file.sync_all()?;
        }
        std::fs::File::open(&folder)?.sync_all()
    }
}

/// What the options say of the table.
fn reading(options: &JobOptions) -> Result<(ReadOptions, Mapping), JobError> {
    let encoding = options.encoding.as_deref().map(str::parse::<Charset>).transpose();
    let encoding = encoding.map_err(|detail| JobError::invalid("/encoding", detail))?;
    let pairs: Result<Vec<_>, _> = options.map.iter().map(|text| Mapping::pair(text)).collect();
    let columns = pairs.map_err(|detail| JobError::invalid("/map", detail))?;
    Ok((ReadOptions { encoding, sheet: options.sheet.clone() }, Mapping { columns, values: Vec::new() }))
}

fn complaints(error: DataError) -> JobError {
    match error {
        DataError::Cells(cells) => JobError::Invalid(cells.violations()),
        other => JobError::invalid("/data", other.to_string()),
    }
}
