//! What must outlive the process: the table of jobs and the audit log, in one transactional file.
//!
//! Its own because it is storage and nothing else: it keeps records under numbers and knows what none of
//! them means. The audit log only grows; there is no call that changes or removes a line of it.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

const JOBS: TableDefinition<u64, &[u8]> = TableDefinition::new("jobs");
const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("{0}: {1}")]
    Open(PathBuf, Box<redb::Error>),
    /// A transaction failed.
    #[error("store: {0}")]
    Transaction(Box<redb::Error>),
    /// A record is not what this program writes.
    #[error("store: record {0}: {1}")]
    Record(u64, serde_json::Error),
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Transaction(Box::new(error.into()))
    }
}

/// The store of one server; only one process can have it open.
#[derive(Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`StoreError::Open`], also where another process has it open.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let open = |error: redb::Error| StoreError::Open(path.to_owned(), Box::new(error));
        let database = Database::create(path).map_err(|error| open(error.into()))?;
        // Later readers may count on both tables.
        let write = database.begin_write()?;
        write.open_table(JOBS)?;
        write.open_table(AUDIT)?;
        write.commit()?;
        Ok(Self { database })
    }

    /// Keeps a job's record under its number; on return it is on disk.
    ///
    /// # Errors
    /// [`StoreError`]; the record is then as it was.
    pub fn put_job<T: Serialize>(&self, number: u64, record: &T) -> Result<(), StoreError> {
        self.put(JOBS, number, record)
    }

    /// All jobs by number.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn jobs<T: DeserializeOwned>(&self) -> Result<Vec<(u64, T)>, StoreError> {
        let read = self.database.begin_read()?;
        let table = read.open_table(JOBS)?;
        let record = |entry: Result<(redb::AccessGuard<u64>, redb::AccessGuard<&[u8]>), redb::StorageError>| {
            let (number, bytes) = entry?;
            Ok((number.value(), decode(number.value(), bytes.value())?))
        };
        table.iter()?.map(record).collect()
    }

    /// Adds a line to the audit log; on return it is on disk. Gives its number.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn append_audit<T: Serialize>(&self, record: &T) -> Result<u64, StoreError> {
        let write = self.database.begin_write()?;
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
    }

    /// The latest lines of the audit log, latest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn audit<T: DeserializeOwned>(&self, most: usize) -> Result<Vec<(u64, T)>, StoreError> {
        let read = self.database.begin_read()?;
        let table = read.open_table(AUDIT)?;
        let mut lines = Vec::new();
        for entry in table.iter()?.rev().take(most) {
            let (number, bytes) = entry?;
            lines.push((number.value(), decode(number.value(), bytes.value())?));
        }
        Ok(lines)
    }

    fn put<T: Serialize>(&self, table: TableDefinition<u64, &[u8]>, number: u64, record: &T) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(record).map_err(|error| StoreError::Record(number, error))?;
        let write = self.database.begin_write()?;
        write.open_table(table)?.insert(number, bytes.as_slice())?;
        write.commit()?;
        Ok(())
    }
}

fn decode<T: DeserializeOwned>(number: u64, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Record(number, error))
}

#[cfg(test)]
mod tests {
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
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.jobs::<String>().unwrap(), [(1, "running".to_owned()), (2, "queued".to_owned())]);
        assert_eq!(store.audit::<String>(1).unwrap(), [(2, "b".to_owned())]);
        assert!(matches!(store.jobs::<u32>(), Err(StoreError::Record(1, _))));
    }
}
