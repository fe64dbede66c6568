//! Removal of what killed processes left in the folders of jobs, and of jobs that are no longer needed.
//!
//! Only jobs that have ended are removed, and folders that are known to belong to no job: other files may still be
//! wanted by someone.

use std::fs;
use std::io;
use std::path::Path;

use super::{DATA_FILE, EVIDENCE_FILE, JOBS_FOLDER, Job, JobError, Jobs, LOG_FILE, RECIPE_FILE, REPORT_FILE};

/// Name of the file that marks a folder whose job has no record yet, or no longer.
const MARK: &str = "unlisted";
/// The files that a job keeps, beside those of evidence.
const KEPT: [&str; 4] = [DATA_FILE, RECIPE_FILE, LOG_FILE, REPORT_FILE];

/// Removes everything but the kept files from a job's folder: bundles, finished or not.
pub(super) fn tidy(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_name().to_str().is_some_and(|name| KEPT.contains(&name) || name.starts_with(EVIDENCE_FILE)) {
            continue;
        }
        // What cannot be removed only takes space.
        let _ = match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => fs::remove_dir_all(entry.path()),
            false => fs::remove_file(entry.path()),
        };
    }
}

/// Marks a folder as one that belongs to a job only if there is a record of it, because a server may be killed before
/// it writes the record. A folder without a mark and without a record comes from a store that was lost; it is kept.
pub(super) fn mark(folder: &Path) -> io::Result<()> {
    fs::write(folder.join(MARK), "")
}

/// Removes the mark, once there is a record.
pub(super) fn unmark(folder: &Path) {
    // If this fails, the mark is removed with the other leftovers at the next start.
    let _ = fs::remove_file(folder.join(MARK));
}

impl Jobs {
    /// Tidies all folders and removes those that belong to no job. Called while no job runs.
    pub(super) fn sweep(&self) -> Result<(), JobError> {
        let folder = self.0.config.state_dir.join(JOBS_FOLDER);
        for entry in fs::read_dir(folder).map_err(JobError::Io)?.filter_map(Result::ok) {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok()) else { continue };
            let place = entry.path();
            if self.get(id).is_err() && place.join(MARK).exists() {
                // What cannot be removed only takes space.
                let _ = fs::remove_dir_all(place);
            } else {
                tidy(&place);
            }
        }
        Ok(())
    }

    /// Removes a job that has ended, with its rows, recipe and log; returns its last record.
    ///
    /// # Errors
    /// [`JobError::NotFound`], or [`JobError::Unended`].
    pub async fn remove(&self, id: u64) -> Result<Job, JobError> {
        let jobs = self.clone();
        tokio::task::spawn_blocking(move || jobs.remove_blocking(id)).await?
    }

    /// As [`Jobs::remove`].
    ///
    /// # Errors
    /// As [`Jobs::remove`].
    pub fn remove_blocking(&self, id: u64) -> Result<Job, JobError> {
        let job = {
            let _alone = self.alone();
            let job = self.get(id)?;
            if !job.state.is_final() {
                return Err(JobError::Unended(id, job.state.name()));
            }
            // If the server ends after this, the rest of the folder is removed at the next start.
            match mark(&self.folder(id)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(JobError::Io(error)),
                _ => {}
            }
            self.0.store.remove_job(id)?;
            self.lock().remove(&id);
            job
        };
        self.tell();
        match fs::remove_dir_all(self.folder(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(JobError::Io(error)),
            _ => Ok(job),
        }
    }

    /// Runs work that no job of a model may see half done, such as its removal. No job is created or changes its state
    /// meanwhile.
    ///
    /// # Errors
    /// [`JobError::Busy`] if a job of the model waits or runs; the work is not run then.
    pub fn while_idle<T>(&self, model: &str, work: impl FnOnce() -> T) -> Result<T, JobError> {
        let _alone = self.alone();
        let busy = self.list().into_iter().find(|job| job.model == model && !job.state.is_final());
        match busy {
            Some(job) => Err(JobError::Busy(model.to_owned(), job.id, job.state.name())),
            None => Ok(work()),
        }
    }

    /// When the latest job ended, and how many jobs have ended.
    pub fn ended(&self) -> (Option<jiff::Timestamp>, usize) {
        let jobs = self.lock();
        let ended = || jobs.values().filter(|job| job.state.is_final());
        (ended().filter_map(|job| job.finished).max(), ended().count())
    }

    /// Jobs that have ended, except the latest `keep` of them.
    pub fn old(&self, keep: usize) -> Vec<u64> {
        self.list().into_iter().filter(|job| job.state.is_final()).skip(keep).map(|job| job.id).collect()
    }
}
