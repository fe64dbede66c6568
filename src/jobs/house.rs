//! What is taken away: what a killed process left in the folders of jobs, and jobs that nobody needs any more.
//!
//! Its own because nothing else here removes what a person may have wanted: only jobs that have ended, and folders of which it
//! is known that they are of no job.

use std::fs;
use std::io;
use std::path::Path;

use super::{DATA_FILE, JOBS_FOLDER, Job, JobError, Jobs, LOG_FILE, RECIPE_FILE};

/// Name of the file that marks a folder of which there is no record yet, or no more.
const MARK: &str = "unlisted";
/// What a job keeps.
const KEPT: [&str; 3] = [DATA_FILE, RECIPE_FILE, LOG_FILE];

/// Removes all but what a job keeps from its folder: bundles, finished or not.
pub(super) fn tidy(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_name().to_str().is_some_and(|name| KEPT.contains(&name)) {
            continue;
        }
        // What cannot be removed takes room, and harms nobody.
        let _ = match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            true => fs::remove_dir_all(entry.path()),
            false => fs::remove_file(entry.path()),
        };
    }
}

/// Says of a folder that it is a job's only if there is a record of it: a server may be killed between the two. A folder
/// without this and without a record is of a store that was lost, and stays.
pub(super) fn mark(folder: &Path) -> io::Result<()> {
    fs::write(folder.join(MARK), "")
}

/// There is a record.
pub(super) fn unmark(folder: &Path) {
    // Else it is removed with what is left in the folder at the next start.
    let _ = fs::remove_file(folder.join(MARK));
}

impl Jobs {
    /// Tidies all folders while no job runs, and removes those that are of none.
    pub(super) fn sweep(&self) -> Result<(), JobError> {
        let folder = self.0.config.state_dir.join(JOBS_FOLDER);
        for entry in fs::read_dir(folder).map_err(JobError::Io)?.filter_map(Result::ok) {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok()) else { continue };
            let place = entry.path();
            if self.get(id).is_err() && place.join(MARK).exists() {
                // What cannot be removed takes room, and harms nobody.
                let _ = fs::remove_dir_all(place);
            } else {
                tidy(&place);
            }
        }
        Ok(())
    }

    /// Removes a job that has ended, with its rows, recipe and log; gives it as it was.
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
            // Then what is left of the folder is swept up at the next start, if this is the last that was done.
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

    /// The last job that has ended, and how many have.
    pub fn ended(&self) -> (Option<jiff::Timestamp>, usize) {
        let jobs = self.lock();
        let ended = || jobs.values().filter(|job| job.state.is_final());
        (ended().filter_map(|job| job.finished).max(), ended().count())
    }

    /// Jobs that have ended, but for the latest of them.
    pub fn old(&self, keep: usize) -> Vec<u64> {
        self.list().into_iter().filter(|job| job.state.is_final()).skip(keep).map(|job| job.id).collect()
    }
}
