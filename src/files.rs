//! Files and folders that are whole after a crash: written, synced, and then moved to their place with one rename.
//!
//! Each step is needed, and a test cannot see that one is missing: renaming a file that is not yet on the disk may
//! leave an empty file, and the rename itself is on the disk only when the folder is synced. This module knows
//! neither the content of files nor the names of unfinished ones.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Waits until a file's content, or a folder's list of entries, is on the disk.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes a file; synced to disk on return.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Renames a file or a folder, already synced, to its place; the rename is on the disk on return.
pub(crate) fn give_place(from: &Path, place: &Path) -> io::Result<()> {
    fs::rename(from, place)?;
    sync(folder_of(place))
}

/// Replaces a file, or makes it, readable for all. A reader, also after a crash, finds either the old text or the
/// new. The unfinished file's name begins with `prefix`.
pub(crate) fn replace(path: &Path, prefix: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(prefix).tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    readable(file.as_file())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync(folder_of(path))
}

/// Makes a file readable for all; temporary files are readable for their owner only.
pub(crate) fn readable(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o644))
}

/// The folder that contains a path.
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
        // A file cannot replace a folder, so the unfinished file must be removed.
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
