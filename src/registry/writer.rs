//! The one who may write a models folder.
//!
//! Its own because writing wants a lock: two processes that promote at the same time would each undo the
//! other. The folder written to is the last of the models folders; the others are only read.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::versions::{RECIPE_FILE, find, history};
use super::{ACTIVE_FILE, RegistryError, is_name, readable, readable_file, sync_folder, write_synced};

/// Name of the file whose lock says that a process writes here.
const LOCK_FILE: &str = ".lock";
/// Beginning of the names of unfinished folders.
pub(super) const STAGING_PREFIX: &str = ".staging-";
/// Earlier versions that are remembered for a rollback.
const LONGEST_HISTORY: usize = 20;

/// The right to write to a models folder, as long as it lives.
#[derive(Debug)]
pub struct Writer {
    folders: Vec<PathBuf>,
    own: PathBuf,
    _lock: File,
}

impl Writer {
    /// Locks the last of the models folders (made where it is missing), and removes what a process that was
    /// killed left unfinished.
    ///
    /// # Errors
    /// [`RegistryError::Locked`] where another process has it, or what the file system said.
    pub fn open(folders: &[PathBuf]) -> Result<Self, RegistryError> {
        let own = folders.last().cloned().unwrap_or_default();
        fs::create_dir_all(&own).map_err(RegistryError::io(&own))?;
        let path = own.join(LOCK_FILE);
        let lock = File::options().create(true).append(true).open(&path).map_err(RegistryError::io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RegistryError::Locked(own)),
            Err(TryLockError::Error(source)) => return Err(RegistryError::Io { path, source }),
        }
        let writer = Self { folders: folders.to_vec(), own, _lock: lock };
        writer.sweep()?;
        Ok(writer)
    }

    /// All models folders, the one written to last.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Copies a bundle's folder to its place among the versions: whole, or not at all. A version that is
    /// there already stays as it is: its name says what its weights are.
    ///
    /// # Errors
    /// What the file system said, or a name that may not be one.
    pub fn install(&self, from: &Path, model: &str, version: &str) -> Result<PathBuf, RegistryError> {
        let place = self.model(model)?.join(named(version)?);
        if place.exists() {
            return Ok(place);
        }
        let model = self.make_model(model)?;
        let staging = tempfile::Builder::new().prefix(STAGING_PREFIX).tempdir_in(&model);
        let staging = staging.map_err(RegistryError::io(&model))?;
        copy(from, staging.path())?;
        fs::rename(staging.path(), &place).map_err(RegistryError::io(&place))?;
        let _ = staging.keep();
        sync_folder(&model).map_err(RegistryError::io(&model))?;
        Ok(place)
    }

    /// Makes a version the one in use: one atomic rename.
    ///
    /// # Errors
    /// [`RegistryError::Missing`] where there is no such version, or what the file system said.
    pub fn promote(&self, model: &str, version: &str) -> Result<(), RegistryError> {
        if find(&self.folders, model, version).is_none() {
            return Err(RegistryError::Missing(format!("{model} {version}")));
        }
        let before = history(&self.folders, model)?.into_iter().filter(|earlier| earlier != version);
        let now: Vec<String> = std::iter::once(version.to_owned()).chain(before).take(LONGEST_HISTORY).collect();
        self.write_history(model, &now)
    }

    /// Makes the version before the one in use the one in use; gives its name.
    ///
    /// # Errors
    /// [`RegistryError::Missing`] where there is none before, or what the file system said.
    pub fn rollback(&self, model: &str) -> Result<String, RegistryError> {
        let now: Vec<String> = history(&self.folders, model)?.into_iter().skip(1).collect();
        match now.first() {
            Some(version) if find(&self.folders, model, version).is_some() => {
                self.write_history(model, &now)?;
                Ok(version.clone())
            }
            _ => Err(RegistryError::Missing(format!("{model}: a version before the one in use"))),
        }
    }

    /// Keeps the recipe of a model.
    ///
    /// # Errors
    /// What the file system said, or a name that may not be one.
    pub fn write_recipe(&self, model: &str, text: &str) -> Result<(), RegistryError> {
        let folder = self.make_model(model)?;
        replace(&folder, &folder.join(RECIPE_FILE), text)
    }

    fn write_history(&self, model: &str, history: &[String]) -> Result<(), RegistryError> {
        let folder = self.make_model(model)?;
        replace(&folder, &folder.join(ACTIVE_FILE), &(history.join("\n") + "\n"))
    }

    fn model(&self, model: &str) -> Result<PathBuf, RegistryError> {
        Ok(self.own.join(named(model)?))
    }

    fn make_model(&self, model: &str) -> Result<PathBuf, RegistryError> {
        let folder = self.model(model)?;
        fs::create_dir_all(&folder).map_err(RegistryError::io(&folder))?;
        sync_folder(&self.own).map_err(RegistryError::io(&self.own))?;
        Ok(folder)
    }

    fn sweep(&self) -> Result<(), RegistryError> {
        for model in super::versions::subfolders(&self.own)? {
            let model = self.own.join(model);
            for entry in fs::read_dir(&model).map_err(RegistryError::io(&model))?.filter_map(Result::ok) {
                if entry.file_name().to_str().is_some_and(|name| name.starts_with(STAGING_PREFIX)) {
                    fs::remove_dir_all(entry.path()).map_err(RegistryError::io(&entry.path()))?;
                }
            }
        }
        Ok(())
    }
}

fn named(name: &str) -> Result<&str, RegistryError> {
    if is_name(name) { Ok(name) } else { Err(RegistryError::Name(name.to_owned())) }
}

/// Replaces a file by an atomic rename.
fn replace(folder: &Path, path: &Path, text: &str) -> Result<(), RegistryError> {
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        readable_file(path)?;
        sync_folder(folder)
    };
    write().map_err(RegistryError::io(path))
}

/// Copies files and folders, each synced; links are not followed.
fn copy(from: &Path, to: &Path) -> Result<(), RegistryError> {
    for entry in fs::read_dir(from).map_err(RegistryError::io(from))? {
        let entry = entry.map_err(RegistryError::io(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(RegistryError::io(&source))?;
        if kind.is_dir() {
            fs::create_dir(&target).map_err(RegistryError::io(&target))?;
            copy(&source, &target)?;
        } else if kind.is_file() {
            let bytes = fs::read(&source).map_err(RegistryError::io(&source))?;
            write_synced(&target, &bytes).map_err(RegistryError::io(&target))?;
        }
    }
    readable(to).map_err(RegistryError::io(to))?;
    sync_folder(to).map_err(RegistryError::io(to))
}

#[cfg(test)]
mod tests {
    use super::super::{StoredBundle, VersionState, versions, write_bundle};
    use super::*;

    fn bundle(folder: &Path, name: &str) -> PathBuf {
        let place = folder.join(name);
        let stored = StoredBundle { manifest: b"{}".to_vec(), weights: name.as_bytes().to_vec() };
        write_bundle(&place, &stored, "card", &[]).unwrap();
        place
    }

    #[test]
    fn installs_promotes_and_rolls_back() {
        let (shipped, own, new) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        bundle(&shipped.path().join("m"), "v1");
        fs::write(shipped.path().join("m/active"), "v1\n").unwrap();
        let folders = [shipped.path().to_owned(), own.path().to_owned()];
        let writer = Writer::open(&folders).unwrap();
        for name in ["v2", "v3"] {
            writer.install(&bundle(new.path(), name), "m", name).unwrap();
        }
        writer.promote("m", "v2").unwrap();
        writer.promote("m", "v3").unwrap();
        assert_eq!(history(&folders, "m").unwrap(), ["v3", "v2", "v1"]);
        assert_eq!(writer.rollback("m").unwrap(), "v2");
        // The one before is a shipped one, in a folder that is only read.
        assert_eq!(writer.rollback("m").unwrap(), "v1");
        assert!(matches!(writer.rollback("m"), Err(RegistryError::Missing(_))));
        assert!(matches!(writer.promote("m", "v9"), Err(RegistryError::Missing(_))));
        assert!(matches!(writer.install(new.path(), "../m", "v4"), Err(RegistryError::Name(_))));
        let active = versions(&folders, "m").unwrap().into_iter().find(|v| v.state == VersionState::Active).unwrap();
        assert_eq!(active.name, "v1");
    }

    #[test]
    fn one_process_writes_and_sweeps_up() {
        let own = tempfile::tempdir().unwrap();
        let folders = [own.path().to_owned()];
        let left = own.path().join("m").join(format!("{STAGING_PREFIX}x"));
        fs::create_dir_all(&left).unwrap();
        let writer = Writer::open(&folders).unwrap();
        assert!(!left.exists());
        assert!(matches!(Writer::open(&folders), Err(RegistryError::Locked(_))));
        drop(writer);
        Writer::open(&folders).unwrap();
    }
}
