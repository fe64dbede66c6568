//! A file of results that is written whole, or not at all.
//!
//! A command may be killed while it writes. The name of its unfinished file follows from the file's name, so the next
//! command that writes the same file reuses it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;

use crate::files;

/// Writes a file through an unfinished file next to it, named with `.` before and `.unfinished` after the name. A
/// path that is not a plain file (a terminal, a pipe, `/dev/stdout`) is written directly, because a rename would
/// replace it.
pub(super) fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let place = || path.display().to_string();
    if std::fs::metadata(path).is_ok_and(|known| !known.is_file()) {
        let mut file = OpenOptions::new().write(true).open(path).with_context(place)?;
        write(&mut file)?;
        return Write::flush(&mut file).with_context(place);
    }
    let unfinished = Unfinished::beside(path)?;
    let mut buffered = BufWriter::new(&unfinished.file);
    write(&mut buffered)?;
    buffered.flush().with_context(place)?;
    drop(buffered);
    unfinished.finish(path).with_context(place)
}

/// A file that is being written; removed unless it is finished.
struct Unfinished {
    file: File,
    path: PathBuf,
    finished: bool,
}

impl Unfinished {
    /// Opens the unfinished file, or reuses one that a killed command has left; refuses if a running command has it
    /// locked.
    fn beside(path: &Path) -> Result<Self> {
        let name = path.file_name().with_context(|| format!("{}: is no name of a file", path.display()))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".unfinished");
        let place = path.with_file_name(hidden);
        let words = || place.display().to_string();
        loop {
            let mut options = OpenOptions::new();
            // The name is predictable, so someone else could have put a link there to a file that must not be
            // overwritten.
            options.create(true).append(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
            let file = options.open(&place).with_context(words)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => bail!("{}: another command is writing it", path.display()),
                // On a file system without locks the file is written without one.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            // The command that had the lock may have renamed the file meanwhile. Then this is no longer the file of
            // that name.
            let own = file.metadata().with_context(words)?;
            let same = |there: std::fs::Metadata| (there.dev(), there.ino()) == (own.dev(), own.ino());
            if std::fs::metadata(&place).is_ok_and(same) {
                file.set_len(0).with_context(words)?;
                return Ok(Self { file, path: place, finished: false });
            }
        }
    }

    fn finish(mut self, path: &Path) -> std::io::Result<()> {
        files::readable(&self.file)?;
        self.file.sync_all()?;
        files::give_place(&self.path, path)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed is reused by the next command.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_command_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.csv");
        std::fs::write(folder.path().join(".answers.csv.unfinished"), "what a killed one had written so far").unwrap();
        write_whole(&path, |out| Ok(out.write_all(b"a,b\n")?)).unwrap();
        assert_eq!(
            (std::fs::read(&path).unwrap(), names(folder.path())),
            (b"a,b\n".to_vec(), vec!["answers.csv".to_owned()])
        );
        // A failed write leaves the old file and nothing else.
        assert!(write_whole(&path, |_| bail!("no")).is_err());
        assert_eq!(
            (std::fs::read(&path).unwrap(), names(folder.path())),
            (b"a,b\n".to_vec(), vec!["answers.csv".to_owned()])
        );
    }

    #[test]
    fn a_link_in_the_place_of_what_was_left_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join(".answers.csv.unfinished")).unwrap();
        assert!(write_whole(&folder.path().join("answers.csv"), |out| Ok(out.write_all(b"a")?)).is_err());
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept");
    }

    #[test]
    fn two_at_the_same_file_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.csv");
        write_whole(&path, |out| {
            out.write_all(b"first")?;
            let second = write_whole(&path, |_| Ok(())).unwrap_err();
            assert!(second.to_string().contains("another command is writing it"), "{second}");
            Ok(())
        })
        .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
    }
}
