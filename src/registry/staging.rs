//! Unfinished files and folders: their names, and when they may be removed.
//!
//! The sweep must not remove a folder that another process is still filling. A training may write to a models folder
//! that a server has locked, without that lock. So each unfinished folder has a lock of its own, which ends with the
//! process that fills it, however that process ends.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};

use crate::files;

/// Beginning of the names of unfinished files and folders, and of those that are about to be removed.
const PREFIX: &str = ".staging-";
/// Prefix of unfinished files in earlier versions of the program.
const FORMER_PREFIX: &str = ".tmp";
/// Name of the locked file in an unfinished folder.
const LOCK_FILE: &str = ".lock";
/// Name of the folder inside it that is moved to the final place.
const CONTENT_FOLDER: &str = "content";
/// Attempts to lock a new folder. A sweep may remove it before it is locked, but not this often.
const MOST_TRIES: usize = 10;

/// A folder that is being filled; removed unless it is moved to its place.
#[derive(Debug)]
pub(super) struct Staging {
    content: PathBuf,
    _room: TempDir,
    _lock: File,
}

impl Staging {
    /// Makes an unfinished folder next to its final place.
    pub(super) fn begin(parent: &Path) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            match Self::try_begin(parent) {
                Err(error) if tries < MOST_TRIES && parent.is_dir() && is_swept(&error) => tries += 1,
                begun => return begun,
            }
        }
    }

    fn try_begin(parent: &Path) -> io::Result<Self> {
        let room = Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::options().create_new(true).append(true).open(room.path().join(LOCK_FILE))?;
        // On a file system without locks the training goes on; a sweep cannot see there that the folder is in use.
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let content = room.path().join(CONTENT_FOLDER);
        fs::create_dir(&content)?;
        Ok(Self { content, _room: room, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.content
    }

    /// Moves the content to its place with one atomic rename, synced to disk on return.
    pub(super) fn finish(self, place: &Path) -> io::Result<()> {
        files::give_place(&self.content, place)
    }

    /// The reverse: moves a folder out of its place with one atomic rename, synced to disk on return, and removes it.
    pub(super) fn bury(self, place: &Path) -> io::Result<()> {
        fs::rename(place, &self.content)?;
        files::sync(files::folder_of(place))
    }
}

fn is_swept(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock)
}

/// Replaces a file as a whole. The caller holds the models folder's lock.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    files::replace(path, PREFIX, text.as_bytes())
}

/// Removes unfinished files and folders of a model, except those that a living process has locked. Removal errors are
/// ignored: what remains does no harm.
pub(super) fn sweep(folder: &Path) {
    remove_unfinished(folder, &[PREFIX, FORMER_PREFIX]);
}

/// Removes what is left of removed models. Earlier versions of the program left nothing beside the models.
pub(super) fn sweep_beside_models(folder: &Path) {
    remove_unfinished(folder, &[PREFIX]);
}

fn remove_unfinished(folder: &Path, prefixes: &[&str]) {
    let unfinished = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    // If the folder cannot be read, loading its model reports that.
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if !entry.file_name().to_str().is_some_and(unfinished) {
            continue;
        }
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // Files are written only under the models folder's lock, and the caller holds it.
            let _ = fs::remove_file(path);
            continue;
        }
        // The lock is held until the folder is removed.
        let lock = File::options().append(true).open(path.join(LOCK_FILE));
        let lives = lock.as_ref().is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        if !lives {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_a_living_process_fills_is_not_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let filled = Staging::begin(folder.path()).unwrap();
        fs::write(filled.path().join("file"), "half").unwrap();
        // What a killed process leaves, and what an earlier version of the program left.
        let left = Staging::begin(folder.path()).unwrap();
        fs::write(left.path().join("file"), "half").unwrap();
        let Staging { _room: room, _lock: lock, .. } = left;
        let left = room.keep();
        drop(lock);
        fs::create_dir(folder.path().join(".staging-former")).unwrap();
        fs::write(folder.path().join(".tmpXyZ123"), "v1\n").unwrap();
        sweep(folder.path());
        assert!(!left.exists());
        assert_eq!(count(folder.path()), 1, "what is filled");
        filled.finish(&folder.path().join("v1")).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("v1/file")).unwrap(), "half");
        assert_eq!(count(folder.path()), 1, "what got its place");
        Staging::begin(folder.path()).unwrap().bury(&folder.path().join("v1")).unwrap();
        assert_eq!(count(folder.path()), 0);
    }
}
