//! Records that must outlive the process: the job table, the audit log and the keys of requests, in one transactional
//! file.
//!
//! The store keeps records under numbers and keys and does not interpret them. The audit log only grows; no function
//! changes or removes a line. After a disk error (a full disk, for example) the database refuses all work until it is
//! opened again, so the next use opens it again.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

const JOBS: TableDefinition<u64, &[u8]> = TableDefinition::new("jobs");
const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
/// Name of the counter that numbers jobs.
const JOB_COUNTER: &str = "jobs";
const REQUESTS: TableDefinition<&str, &[u8]> = TableDefinition::new("requests");

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("{0}: {1}")]
    Open(PathBuf, Box<redb::Error>),
    /// A transaction failed.
    #[error("store: {0}")]
    Transaction(Box<redb::Error>),
    /// A record cannot be read as what this program writes.
    #[error("store: record {0}: {1}")]
    Record(u64, serde_json::Error),
    /// The same for the record of a request.
    #[error("store: a request: {0}")]
    Request(serde_json::Error),
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Transaction(Box::new(error.into()))
    }
}

impl StoreError {
    /// Whether the database has failed before and must be opened again.
    fn wants_reopening(&self) -> bool {
        matches!(self, Self::Transaction(error) if matches!(**error, redb::Error::PreviousIo | redb::Error::DatabaseClosed))
    }
}

type Opening = dyn Fn() -> Result<Database, redb::Error> + Send + Sync;

/// The store of one server; only one process can have it open.
pub struct Store {
    /// `None` if it was closed and could not be opened again.
    database: RwLock<Option<Database>>,
    opening: Box<Opening>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens the file; makes it if missing.
    ///
    /// # Errors
    /// [`StoreError::Open`], also if another process has it open.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = path.to_owned();
        let opening = move || Database::create(&file).map_err(redb::Error::from);
        Self::opened_by(Box::new(opening)).map_err(|error| match error {
            StoreError::Transaction(error) => StoreError::Open(path.to_owned(), error),
            other => other,
        })
    }

    fn opened_by(opening: Box<Opening>) -> Result<Self, StoreError> {
        let database = opening()?;
        // All tables are made here, so that readers find them.
        let write = database.begin_write()?;
        write.open_table(JOBS)?;
        write.open_table(AUDIT)?;
        write.open_table(REQUESTS)?;
        write.open_table(COUNTERS)?;
        write.commit()?;
        Ok(Self { database: RwLock::new(Some(database)), opening })
    }

    /// Runs `work` on the database. If the database must be opened again, opens it and runs `work` once more.
    fn with<T>(&self, work: impl Fn(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let now = || {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            work(database.as_ref().ok_or(redb::Error::DatabaseClosed)?)
        };
        let outcome = now();
        if !outcome.as_ref().is_err_and(StoreError::wants_reopening) {
            return outcome;
        }
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Closed first, because the file cannot be open twice.
        *database = None;
        *database = Some((self.opening)()?);
        drop(database);
        now()
    }

    /// A new job number. No number is given twice.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn next_job(&self) -> Result<u64, StoreError> {
        self.with(|database| {
            let write = database.begin_write()?;
            let next = {
                let mut counters = write.open_table(COUNTERS)?;
                let counted = counters.get(JOB_COUNTER)?.map_or(0, |count| count.value());
                // Files of earlier versions have no counter.
                let last = write.open_table(JOBS)?.last()?.map_or(0, |(number, _)| number.value());
                let next = counted.max(last) + 1;
                counters.insert(JOB_COUNTER, next)?;
                next
            };
            write.commit()?;
            Ok(next)
        })
    }

    /// Stores a job's record under its number; synced to disk on return.
    ///
    /// # Errors
    /// [`StoreError`]; the record is then unchanged.
    pub fn put_job<T: Serialize>(&self, number: u64, record: &T) -> Result<(), StoreError> {
        self.put(JOBS, number, record)
    }

    /// Removes a job's record.
    ///
    /// # Errors
    /// [`StoreError`]; the record is then unchanged.
    pub fn remove_job(&self, number: u64) -> Result<(), StoreError> {
        self.change(|write| write.open_table(JOBS)?.remove(number).map(|_| ()).map_err(StoreError::from))
    }

    /// All jobs by number.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn jobs<T: DeserializeOwned>(&self) -> Result<Vec<(u64, T)>, StoreError> {
        let record = |entry: Result<(redb::AccessGuard<u64>, redb::AccessGuard<&[u8]>), redb::StorageError>| {
            let (number, bytes) = entry?;
            Ok((number.value(), decode(number.value(), bytes.value())?))
        };
        self.with(|database| database.begin_read()?.open_table(JOBS)?.iter()?.map(record).collect())
    }

    /// Adds a line to the audit log, synced to disk on return. Returns the line's number.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn append_audit<T: Serialize>(&self, record: &T) -> Result<u64, StoreError> {
        self.with(|database| {
            let write = database.begin_write()?;
            let number = {
                let mut table = write.open_table(AUDIT)?;
                let last = table.last()?.map(|(number, _)| number.value());
                let number = last.map_or(1, |last| last + 1);
                let bytes = serde_json::to_vec(record).map_err(|error| StoreError::Record(number, error))?;
                table.insert(number, bytes.as_slice())?;
                number
            };
            write.commit()?;
            Ok(number)
        })
    }

    /// The latest lines of the audit log, newest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn audit<T: DeserializeOwned>(&self, most: usize) -> Result<Vec<(u64, T)>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(AUDIT)?;
            let mut lines = Vec::new();
            for entry in table.iter()?.rev().take(most) {
                let (number, bytes) = entry?;
                lines.push((number.value(), decode(number.value(), bytes.value())?));
            }
            Ok(lines)
        })
    }

    /// Stores the record of a request under its key; synced to disk on return.
    ///
    /// # Errors
    /// [`StoreError`]; the record is then unchanged.
    pub fn put_request<T: Serialize>(&self, key: &str, record: &T) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(record).map_err(StoreError::Request)?;
        self.change(|write| {
            write.open_table(REQUESTS)?.insert(key, bytes.as_slice()).map(|_| ()).map_err(StoreError::from)
        })
    }

    /// The record of a request.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn request<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(REQUESTS)?;
            let kept = table.get(key)?;
            kept.map(|bytes| serde_json::from_slice(bytes.value()).map_err(StoreError::Request)).transpose()
        })
    }

    /// Removes the record of a request.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn remove_request(&self, key: &str) -> Result<(), StoreError> {
        self.change(|write| write.open_table(REQUESTS)?.remove(key).map(|_| ()).map_err(StoreError::from))
    }

    /// Removes the records of requests that are outdated or cannot be read.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn forget_requests<T: DeserializeOwned>(&self, outdated: impl Fn(&T) -> bool) -> Result<(), StoreError> {
        let keep = |bytes: &[u8]| serde_json::from_slice(bytes).is_ok_and(|record| !outdated(&record));
        self.change(|write| Ok(write.open_table(REQUESTS)?.retain(|_, bytes| keep(bytes))?))
    }

    fn put<T: Serialize>(&self, table: TableDefinition<u64, &[u8]>, number: u64, record: &T) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(record).map_err(|error| StoreError::Record(number, error))?;
        self.change(|write| {
            write.open_table(table)?.insert(number, bytes.as_slice()).map(|_| ()).map_err(StoreError::from)
        })
    }

    /// Runs one transaction; synced to disk on return.
    fn change(&self, work: impl Fn(&WriteTransaction) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.with(|database| {
            let write = database.begin_write()?;
            work(&write)?;
            Ok(write.commit()?)
        })
    }
}

fn decode<T: DeserializeOwned>(number: u64, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Record(number, error))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn what_was_kept_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcvn.redb");
        let store = Store::open(&path).unwrap();
        store.put_job(1, &"queued").unwrap();
        store.put_job(2, &"queued").unwrap();
        store.put_job(1, &"running").unwrap();
        assert_eq!((store.append_audit(&"a").unwrap(), store.append_audit(&"b").unwrap()), (1, 2));
        assert!(matches!(Store::open(&path), Err(StoreError::Open(..))), "one process at a time");
        // A number is never used again, even when its job's record is removed.
        assert_eq!((store.next_job().unwrap(), store.next_job().unwrap()), (3, 4));
        store.put_job(4, &"failed").unwrap();
        store.remove_job(4).unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.next_job().unwrap(), 5);
        assert_eq!(store.jobs::<String>().unwrap(), [(1, "running".to_owned()), (2, "queued".to_owned())]);
        assert_eq!(store.audit::<String>(1).unwrap(), [(2, "b".to_owned())]);
        assert!(matches!(store.jobs::<u32>(), Err(StoreError::Record(1, _))));
    }

    /// A disk that is full while `full` is set, and that cannot sync while another thread holds `held`.
    #[derive(Debug)]
    struct Disk {
        file: redb::backends::FileBackend,
        full: Arc<AtomicBool>,
        held: Arc<Mutex<()>>,
    }

    impl Store {
        /// A store whose commits wait while another thread holds the lock.
        pub(crate) fn held_up(path: &Path, held: Arc<Mutex<()>>) -> Self {
            Self::on_disk(path.to_owned(), Arc::default(), held)
        }

        fn on_disk(path: PathBuf, full: Arc<AtomicBool>, held: Arc<Mutex<()>>) -> Self {
            let opening = move || {
                let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
                let file = redb::backends::FileBackend::new(file)?;
                let disk = Disk { file, full: Arc::clone(&full), held: Arc::clone(&held) };
                Ok(redb::Builder::new().create_with_backend(disk)?)
            };
            Self::opened_by(Box::new(opening)).unwrap()
        }
    }

    impl redb::StorageBackend for Disk {
        fn len(&self) -> std::io::Result<u64> {
            self.file.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
            self.file.read(offset, out)
        }

        fn set_len(&self, len: u64) -> std::io::Result<()> {
            self.file.set_len(len)
        }

        fn sync_data(&self) -> std::io::Result<()> {
            let _turn = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            self.file.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
            match self.full.load(Ordering::Relaxed) {
                true => Err(std::io::ErrorKind::StorageFull.into()),
                false => self.file.write(offset, data),
            }
        }
    }

    #[test]
    fn it_goes_on_once_the_disk_has_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let full = Arc::new(AtomicBool::new(false));
        let store = Store::on_disk(folder.path().join("mcvn.redb"), Arc::clone(&full), Arc::default());
        assert_eq!(store.append_audit(&"a").unwrap(), 1);
        full.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            assert!(store.append_audit(&"lost").is_err());
        }
        full.store(false, Ordering::Relaxed);
        assert_eq!(store.append_audit(&"b").unwrap(), 2);
        assert_eq!(store.audit::<String>(9).unwrap(), [(2, "b".to_owned()), (1, "a".to_owned())]);
    }
}
