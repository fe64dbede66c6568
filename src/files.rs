//! Files and folders that are whole after a crash: written, synced, and put in their place by one rename.
//!
//! Its own because each step matters and none can be seen to be missing: a rename of what is not on the disk yet may leave
//! an empty file, and a rename is on the disk only when the folder is. It knows neither what a file holds nor what names
//! unfinished ones have.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Waits until a file, or what a folder lists, is on the disk.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes a file; on return it is on the disk.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts a file or a folder that is on the disk already in its place; on return that is on the disk, too.
pub(crate) fn give_place(from: &Path, place: &Path) -> io::Result<()> {
    fs::rename(from, place)?;
    sync(folder_of(place))
}

/// Replaces a file, or makes it, readable for all: whoever reads it meanwhile, or after a crash, finds the old text or the
/// new. The unfinished file's name begins with `prefix`.
pub(crate) fn replace(path: &Path, prefix: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(prefix).tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    readable(file.as_file())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync(folder_of(path))
}

/// Lets all read a file: temporary ones are for their owner alone.
pub(crate) fn readable(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o644))
}

/// The folder that something lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("active");
        for text in ["v1\n", "v2\nv1\n"] {
            replace(&path, ".staging-", text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // A folder cannot be replaced by a file: what was written for it is gone.
        fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(replace(&folder.path().join("taken"), ".staging-", b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_name_without_a_folder_lies_in_the_current_one() {
        assert_eq!(folder_of(Path::new("answers.csv")), Path::new("."));
        assert_eq!(folder_of(Path::new("models/m")), Path::new("models"));
    }
}
