//! Unfinished files and folders: what they are called, and when they may be taken away.
//!
//! Its own because whoever sweeps up must not take from one who still writes. A training may write to a models folder without
//! the right to it, beside the server that has it: so a folder that is being filled is locked by whoever fills it, and the
//! lock ends with the process, however that ends.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};

use crate::files;

/// Beginning of the names of unfinished files and folders, and of those that are about to be removed.
const PREFIX: &str = ".staging-";
/// What earlier versions of the program called unfinished files.
const FORMER_PREFIX: &str = ".tmp";
/// Name of the locked file in an unfinished folder.
const LOCK_FILE: &str = ".lock";
/// Name of the folder in it that gets its place.
const CONTENT_FOLDER: &str = "content";
/// One who sweeps may take a folder before it is locked; nobody sweeps so often.
const MOST_TRIES: usize = 10;

/// A folder that is being filled; removed unless it gets a place.
#[derive(Debug)]
pub(super) struct Staging {
    content: PathBuf,
    _room: TempDir,
    _lock: File,
}

impl Staging {
    /// Begins a folder beside its place.
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
        // A file system without locks is no reason to lose a training: there nothing tells a sweeper that it lives.
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

    /// Gives it its place: one atomic rename, on the disk on return.
    pub(super) fn finish(self, place: &Path) -> io::Result<()> {
        files::give_place(&self.content, place)
    }

    /// The reverse: takes a folder from its place by one atomic rename, on the disk on return, and removes it.
    pub(super) fn bury(self, place: &Path) -> io::Result<()> {
        fs::rename(place, &self.content)?;
        files::sync(files::folder_of(place))
    }
}

fn is_swept(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock)
}

/// Replaces a file whole, for whoever has the right to the models folder.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    files::replace(path, PREFIX, text.as_bytes())
}

/// Removes from a folder what was left unfinished, but for what a living process is at. What cannot be removed harms nobody.
pub(super) fn sweep(folder: &Path) {
    let unfinished = |name: &str| [PREFIX, FORMER_PREFIX].iter().any(|prefix| name.starts_with(prefix));
    // A folder that cannot be read is its model's trouble, when it is loaded.
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if !entry.file_name().to_str().is_some_and(unfinished) {
            continue;
        }
        let path = entry.path();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // Files are written with the right to the folder only, and that is here now.
            let _ = fs::remove_file(path);
            continue;
        }
        // Held until the folder is gone.
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
        // As one that was killed leaves it, and as one of an earlier version.
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
