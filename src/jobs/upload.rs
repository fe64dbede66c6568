//! Training data on its way in: to disk as it comes, bounded, gone if it is not wanted.
//!
//! Its own because a client may send more than memory holds, or break off: the file removes itself unless a
//! job takes it.

use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use tempfile::NamedTempFile;

use super::JobError;

/// A file that is being received.
#[derive(Debug)]
pub struct Upload {
    file: NamedTempFile,
    name: String,
    bytes: u64,
    most: u64,
}

impl Upload {
    pub(super) fn begin(folder: &Path, name: &str, most: u64) -> io::Result<Self> {
        // Only the last part of what a client calls it, for the record; never a path here.
        let name =
            Path::new(name).file_name().map_or_else(|| "data.csv".to_owned(), |n| n.to_string_lossy().into_owned());
        Ok(Self { file: NamedTempFile::new_in(folder)?, name: name.chars().take(100).collect(), bytes: 0, most })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`JobError::TooLarge`] past the limit, or what the file system said.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), JobError> {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.most {
            return Err(JobError::TooLarge(self.most));
        }
        self.file.write_all(chunk).map_err(JobError::Io)
    }
}

/// The rows of a job, wherever they are.
#[derive(Debug)]
pub enum DataSource {
    /// Came with the request.
    Upload(Upload),
    /// Lies in the configured folder of data files.
    File(String),
    /// Those of an earlier job.
    Job(u64),
}

/// A file that is there, with the name to record.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) name: String,
    /// Keeps an upload until it has been copied.
    _upload: Option<NamedTempFile>,
}

impl DataSource {
    /// Finds the file. A named one must lie inside the folder, links followed.
    pub(super) fn find(self, data_dir: Option<&Path>, job_folder: impl Fn(u64) -> PathBuf) -> Result<Found, JobError> {
        match self {
            Self::Upload(upload) => {
                Ok(Found { path: upload.file.path().to_owned(), name: upload.name, _upload: Some(upload.file) })
            }
            Self::Job(id) => {
                let path = job_folder(id).join(super::DATA_FILE);
                match path.is_file() {
                    true => Ok(Found { path, name: format!("data of job {id}"), _upload: None }),
                    false => Err(JobError::invalid("/data_of_job", format!("there is no data of a job {id}"))),
                }
            }
            Self::File(name) => {
                let missing =
                    || JobError::invalid("/data", format!("there is no \"{name}\" in the folder of data files"));
                let folder = data_dir.ok_or_else(|| {
                    JobError::invalid(
                        "/data",
                        "no folder of data files is configured (data_dir): upload the file instead",
                    )
                })?;
                let plain = Path::new(&name).components().all(|part| matches!(part, Component::Normal(_)));
                let folder = folder.canonicalize().map_err(|_| missing())?;
                let path = folder.join(&name).canonicalize().map_err(|_| missing())?;
                if !plain || !path.starts_with(&folder) || !path.is_file() {
                    return Err(missing());
                }
                Ok(Found { path, name, _upload: None })
            }
        }
    }
}
