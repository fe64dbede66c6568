//! Training data as it is received: written to disk piece by piece, with a size limit.
//!
//! A client may send more than fits into memory, or stop halfway. The file is removed on drop unless a job takes it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::JobError;
use super::program::evidence_files;
use crate::data::EvidenceRecipe;

/// A file that is being received.
#[derive(Debug)]
pub struct Upload {
    file: NamedTempFile,
    name: String,
    bytes: u64,
    most: u64,
    hash: Sha256,
}

impl Upload {
    pub(super) fn begin(folder: &Path, name: &str, most: u64) -> io::Result<Self> {
        // Only the last part of the client's file name is kept, for the record; it is never used as a path.
        let name =
            Path::new(name).file_name().map_or_else(|| "data.csv".to_owned(), |n| n.to_string_lossy().into_owned());
        Ok(Self {
            file: aside(|| NamedTempFile::new_in(folder))?,
            name: name.chars().take(100).collect(),
            bytes: 0,
            most,
            hash: Sha256::new(),
        })
    }

    /// What identifies the file in a request: its hash.
    pub fn named(&self) -> String {
        format!("upload {}", hex(&self.hash))
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`JobError::TooLarge`] beyond the limit, or a file system error.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), JobError> {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.most {
            return Err(JobError::TooLarge(self.most));
        }
        aside(|| {
            self.hash.update(chunk);
            self.file.write_all(chunk).map_err(JobError::Io)
        })
    }
}

/// Runs disk work. On a runtime with several workers, another thread takes over this worker's other tasks meanwhile,
/// because one write may take seconds.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Where the rows of a job come from.
#[derive(Debug)]
pub enum DataSource {
    /// Received with the request.
    Upload(Upload),
    /// A file in the configured folder of data files.
    File(String),
    /// The rows of an earlier job.
    Job(u64),
}

/// An existing file.
pub(super) struct Found {
    /// Its name, for the record.
    name: String,
    place: Place,
}

enum Place {
    Received(Upload),
    Here(PathBuf),
}

impl From<Upload> for Found {
    fn from(upload: Upload) -> Self {
        Self { name: upload.name.clone(), place: Place::Received(upload) }
    }
}

impl Found {
    /// Moves or copies the file to a new path; returns its name and its SHA-256.
    pub(super) fn put(self, to: &Path, most: u64) -> Result<(String, String), JobError> {
        let hash = match self.place {
            Place::Received(upload) => {
                upload.file.persist(to).map_err(|error| JobError::Io(error.error))?;
                upload.hash
            }
            Place::Here(path) => copy(&path, to, most)?,
        };
        Ok((self.name, hex(&hash)))
    }
}

/// Copies a file piece by piece. It may grow meanwhile, but not beyond the limit.
fn copy(from: &Path, to: &Path, most: u64) -> Result<Sha256, JobError> {
    let copied = || {
        let mut from = File::open(from)?.take(most.saturating_add(1));
        let (mut to, mut hash, mut piece) = (File::create_new(to)?, Sha256::new(), vec![0; 1 << 16]);
        loop {
            match from.read(&mut piece)? {
                0 => return Ok((hash, from.limit() == 0)),
                count => {
                    hash.update(&piece[..count]);
                    to.write_all(&piece[..count])?;
                }
            }
        }
    };
    match copied().map_err(JobError::Io)? {
        (_, true) => Err(JobError::TooLarge(most)),
        (hash, false) => Ok(hash),
    }
}

impl DataSource {
    /// What identifies the data of a request: the hash of an upload, else the name of the file or the number of the
    /// job.
    pub fn named(&self) -> String {
        match self {
            Self::Upload(upload) => upload.named(),
            Self::File(name) => format!("file {name}"),
            Self::Job(id) => format!("job {id}"),
        }
    }

    /// The files of evidence that lie beside the rows: in the folder of data files, by the names in the recipe, or in the
    /// folder of the job. None if one is missing; the training then warns that it lacks its evidence.
    pub(super) fn evidence(
        &self,
        named: &[EvidenceRecipe],
        data_dir: Option<&Path>,
        job_folder: impl Fn(u64) -> PathBuf,
    ) -> Vec<Found> {
        let found = |name: &str, path: PathBuf| Found { name: name.to_owned(), place: Place::Here(path) };
        match self {
            Self::Upload(_) => Vec::new(),
            Self::File(_) => {
                let all = named.iter().map(|own| Some(found(&own.file, inside(data_dir, &own.file).ok()?)));
                all.collect::<Option<_>>().unwrap_or_default()
            }
            Self::Job(id) => {
                let paths = evidence_files(&job_folder(*id)).into_iter().enumerate();
                paths.map(|(number, path)| found(&format!("evidence {number} of job {id}"), path)).collect()
            }
        }
    }

    /// Finds the file. A named file must lie inside the folder, with links resolved, and must not be larger than an
    /// upload may be.
    pub(super) fn find(
        self,
        data_dir: Option<&Path>,
        job_folder: impl Fn(u64) -> PathBuf,
        most: u64,
    ) -> Result<Found, JobError> {
        let (pointer, name, path) = match self {
            Self::Upload(upload) => return Ok(upload.into()),
            Self::Job(id) => {
                let path = job_folder(id).join(super::DATA_FILE);
                if !path.is_file() {
                    return Err(JobError::invalid("/data_of_job", format!("there is no data of a job {id}")));
                }
                ("/data_of_job", format!("data of job {id}"), path)
            }
            Self::File(name) => {
                let path = inside(data_dir, &name)?;
                ("/data", name, path)
            }
        };
        let bytes = path.metadata().map_err(JobError::Io)?.len();
        if bytes > most {
            let detail = format!("{name} has {bytes} bytes; at most {most} are read (upload-bytes)");
            return Err(JobError::invalid(pointer, detail));
        }
        Ok(Found { name, place: Place::Here(path) })
    }
}

/// Path of a file in the folder of data files.
fn inside(data_dir: Option<&Path>, name: &str) -> Result<PathBuf, JobError> {
    let missing = || JobError::invalid("/data", format!("there is no \"{name}\" in the folder of data files"));
    let folder = data_dir.ok_or_else(|| {
        JobError::invalid("/data", "no folder of data files is configured (data_dir): upload the file instead")
    })?;
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let folder = folder.canonicalize().map_err(|_| missing())?;
    let path = folder.join(name).canonicalize().map_err(|_| missing())?;
    if plain && path.starts_with(&folder) && path.is_file() { Ok(path) } else { Err(missing()) }
}

/// A hash in hexadecimal.
fn hex(hash: &Sha256) -> String {
    hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
