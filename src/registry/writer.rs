//! The only writer of a models folder.
//!
//! Writing needs a lock: of two processes that promote at the same time, each would undo the other's change. The last
//! of the models folders is written to; the others are only read.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::library::Library;
use super::staging::{self, Staging};
use super::versions::{
    RECIPE_FILE, Version, VersionState, find, history, known_history, models, read_manifest, subfolders, versions,
};
use super::{ACTIVE_FILE, MANIFEST_FILE, RegistryError, fit, holds_the_same, is_name, readable};
use crate::files;

/// Name of the file that a writing process locks.
const LOCK_FILE: &str = ".lock";
/// How many earlier versions are kept for a rollback.
const LONGEST_HISTORY: usize = 20;

/// The right to write to a models folder, held as long as this value lives.
#[derive(Debug)]
pub struct Writer {
    folders: Vec<PathBuf>,
    own: PathBuf,
    /// Held while the active version changes or a version is removed.
    changing: Mutex<()>,
    _lock: File,
}

impl Writer {
    /// Locks the last of the models folders (made if missing), and removes what killed processes left unfinished.
    ///
    /// # Errors
    /// [`RegistryError::Locked`] if another process holds the lock, or a file system error.
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
        let writer = Self { folders: folders.to_vec(), own, changing: Mutex::new(()), _lock: lock };
        writer.sweep()?;
        Ok(writer)
    }

    /// All models, for reading only.
    pub fn library(&self) -> Library {
        Library::new(&self.folders)
    }

    /// All models folders; the last one is written to.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Copies a bundle's folder to its place among the versions: whole and self-tested, or not at all. `false` if a
    /// version of this name with the same answers exists already; it is not changed.
    ///
    /// # Errors
    /// [`RegistryError::Unfit`], [`RegistryError::Exists`] if another bundle has the name, [`RegistryError::Name`],
    /// or a file system error.
    pub fn install(&self, from: &Path, model: &str, version: &str) -> Result<bool, RegistryError> {
        let place = self.model(model)?.join(named(version)?);
        if place.exists() {
            if !holds_the_same(&place, &read_manifest(from)?) {
                return Err(RegistryError::Exists(place));
            }
            return fit(&place, &place).map(|()| false);
        }
        let model = self.make_model(model)?;
        let staging = Staging::begin(&model).map_err(RegistryError::io(&model))?;
        copy(from, staging.path())?;
        fit(staging.path(), &place)?;
        staging.finish(&place).map_err(RegistryError::io(&place))?;
        Ok(true)
    }

    /// Makes a version the active one, with one atomic rename. The caller must have loaded it first, on the device
    /// that will answer.
    ///
    /// # Errors
    /// [`RegistryError::Missing`] if there is no such version, or a file system error.
    pub fn promote(&self, model: &str, version: &str) -> Result<(), RegistryError> {
        let _alone = self.alone();
        if find(&self.folders, model, version).is_none() {
            return Err(RegistryError::Missing(format!("{model} {version}")));
        }
        let before = known_history(&self.folders, model)?.into_iter().filter(|earlier| earlier != version);
        let now: Vec<String> = std::iter::once(version.to_owned()).chain(before).take(LONGEST_HISTORY).collect();
        self.write_history(model, &now)
    }

    /// Reactivates the previous version; returns its name.
    ///
    /// # Errors
    /// [`RegistryError::Missing`] if there is no previous version, or a file system error.
    pub fn rollback(&self, model: &str) -> Result<String, RegistryError> {
        let _alone = self.alone();
        let now: Vec<String> = history(&self.folders, model)?.into_iter().skip(1).collect();
        match now.first() {
            Some(version) if find(&self.folders, model, version).is_some() => {
                self.write_history(model, &now)?;
                Ok(version.clone())
            }
            _ => Err(RegistryError::Missing(format!("{model}: a version before the one in use"))),
        }
    }

    /// Removes a version that is not active. It disappears at once, and rollbacks skip it.
    ///
    /// # Errors
    /// [`RegistryError::InUse`], [`RegistryError::Missing`], [`RegistryError::ReadOnly`] if the version lies in a
    /// folder that is only read, [`RegistryError::Name`], or a file system error.
    pub fn remove(&self, model: &str, version: &str) -> Result<(), RegistryError> {
        let _alone = self.alone();
        let (folder, named) = (self.model(model)?, named(version)?);
        let place = folder.join(named);
        let words = || format!("{model} {version}");
        let history = known_history(&self.folders, model)?;
        if history.first().is_some_and(|first| first == version) {
            return Err(RegistryError::InUse(words()));
        }
        let elsewhere = self.folders.split_last().and_then(|(_, others)| find(others, model, version));
        if !place.is_dir() {
            return Err(if elsewhere.is_some() {
                RegistryError::ReadOnly(words())
            } else {
                RegistryError::Missing(words())
            });
        }
        // The history is changed first: a version that no rollback names can be removed at any moment.
        if elsewhere.is_none() && history.iter().any(|known| known == version) {
            let left: Vec<String> = history.into_iter().filter(|known| known != version).collect();
            self.write_history(model, &left)?;
        }
        let grave = Staging::begin(&folder).map_err(RegistryError::io(&folder))?;
        grave.bury(&place).map_err(RegistryError::io(&place))
    }

    /// Removes a model: all its versions, its recipe and its `active` file. It disappears at once.
    ///
    /// # Errors
    /// [`RegistryError::Missing`], [`RegistryError::ReadOnly`] if the model also lies in a folder that is only read,
    /// [`RegistryError::Name`], or a file system error.
    pub fn remove_model(&self, model: &str) -> Result<(), RegistryError> {
        let _alone = self.alone();
        let place = self.model(model)?;
        let elsewhere = self.folders.split_last().map(|(_, others)| models(others)).transpose()?.unwrap_or_default();
        if elsewhere.iter().any(|known| known == model) {
            return Err(RegistryError::ReadOnly(model.to_owned()));
        }
        if !place.is_dir() {
            return Err(RegistryError::Missing(model.to_owned()));
        }
        let grave = Staging::begin(&self.own).map_err(RegistryError::io(&self.own))?;
        grave.bury(&place).map_err(RegistryError::io(&place))
    }

    /// Candidates that may be removed: of each model all but the newest `keep`.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn old_candidates(&self, keep: usize) -> Result<Vec<(String, String)>, RegistryError> {
        let mut old = Vec::new();
        for model in subfolders(&self.own)? {
            let Ok(versions) = versions(&self.folders, &model) else { continue };
            let candidates = versions.into_iter().filter(|version| version.state == VersionState::Candidate);
            let own = candidates.filter(|version| version.folder.starts_with(&self.own));
            let written = |version: &Version| fs::metadata(version.folder.join(MANIFEST_FILE))?.modified();
            let mut own: Vec<_> = own.filter_map(|version| Some((written(&version).ok()?, version.name))).collect();
            own.sort_by(|one, other| other.cmp(one));
            old.extend(own.into_iter().skip(keep).map(|(_, version)| (model.clone(), version)));
        }
        Ok(old)
    }

    /// Writes the recipe of a model.
    ///
    /// # Errors
    /// [`RegistryError::Name`], or a file system error.
    pub fn write_recipe(&self, model: &str, text: &str) -> Result<(), RegistryError> {
        self.replace(model, RECIPE_FILE, text)
    }

    fn write_history(&self, model: &str, history: &[String]) -> Result<(), RegistryError> {
        self.replace(model, ACTIVE_FILE, &(history.join("\n") + "\n"))
    }

    fn replace(&self, model: &str, file: &str, text: &str) -> Result<(), RegistryError> {
        let path = self.make_model(model)?.join(file);
        staging::replace(&path, text).map_err(RegistryError::io(&path))
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn model(&self, model: &str) -> Result<PathBuf, RegistryError> {
        Ok(self.own.join(named(model)?))
    }

    fn make_model(&self, model: &str) -> Result<PathBuf, RegistryError> {
        let folder = self.model(model)?;
        fs::create_dir_all(&folder).map_err(RegistryError::io(&folder))?;
        files::sync(&self.own).map_err(RegistryError::io(&self.own))?;
        Ok(folder)
    }

    fn sweep(&self) -> Result<(), RegistryError> {
        staging::sweep_beside_models(&self.own);
        subfolders(&self.own)?.iter().for_each(|model| staging::sweep(&self.own.join(model)));
        Ok(())
    }
}

fn named(name: &str) -> Result<&str, RegistryError> {
    if is_name(name) { Ok(name) } else { Err(RegistryError::Name(name.to_owned())) }
}

/// Copies files and folders and syncs each; links are not followed.
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
            files::write(&target, &bytes).map_err(RegistryError::io(&target))?;
        }
    }
    readable(to).map_err(RegistryError::io(to))?;
    files::sync(to).map_err(RegistryError::io(to))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Models;
    use super::super::{VersionState, versions};
    use super::*;

    #[test]
    fn installs_promotes_and_rolls_back() {
        let (shipped, own, new) = (Models::new(), Models::new(), Models::new());
        shipped.put("m", "v1", |_| {}).activate("m", "v1\n");
        let folders = [shipped.path(""), own.path("")];
        let writer = Writer::open(&folders).unwrap();
        for name in ["v2", "v3"] {
            new.put("m", name, |_| {});
            assert!(writer.install(&new.path("m").join(name), "m", name).unwrap());
        }
        writer.promote("m", "v2").unwrap();
        writer.promote("m", "v3").unwrap();
        assert_eq!(history(&folders, "m").unwrap(), ["v3", "v2", "v1"]);
        assert_eq!(writer.rollback("m").unwrap(), "v2");
        // The previous version is a shipped one, in a folder that is only read.
        assert_eq!(writer.rollback("m").unwrap(), "v1");
        assert!(matches!(writer.rollback("m"), Err(RegistryError::Missing(_))));
        assert!(matches!(writer.promote("m", "v9"), Err(RegistryError::Missing(_))));
        assert!(matches!(writer.install(&new.path("m/v2"), "../m", "v4"), Err(RegistryError::Name(_))));
        let active = versions(&folders, "m").unwrap().into_iter().find(|v| v.state == VersionState::Active).unwrap();
        assert_eq!(active.name, "v1");
    }

    #[test]
    fn only_what_answers_is_installed_and_no_name_means_two_things() {
        let (own, new) = (Models::new(), Models::new());
        let writer = Writer::open(&own.folders()).unwrap();
        new.put("m", "v1", |_| {}).put("m", "other", |manifest| manifest.default = true);
        assert!(writer.install(&new.path("m/v1"), "m", "v1").unwrap());
        assert!(!writer.install(&new.path("m/v1"), "m", "v1").unwrap(), "there already");
        let other = writer.install(&new.path("m/other"), "m", "v1");
        assert!(matches!(other, Err(RegistryError::Exists(_))), "{other:?}");
        fs::write(new.path("m/other/weights.safetensors"), "torn").unwrap();
        let torn = writer.install(&new.path("m/other"), "m", "other");
        assert!(matches!(torn, Err(RegistryError::Unfit(..))), "{torn:?}");
        assert!(!own.path("m/other").exists());
    }

    #[test]
    fn what_is_not_in_use_can_be_removed() {
        let (shipped, own) = (Models::new(), Models::new());
        shipped.put("m", "v0", |_| {}).activate("m", "v0\n");
        for version in ["v1", "v2", "v3", "v4"] {
            own.put("m", version, |_| {});
        }
        let folders = [shipped.path(""), own.path("")];
        let writer = Writer::open(&folders).unwrap();
        assert!(matches!(writer.remove("m", "v0"), Err(RegistryError::InUse(_))));
        writer.promote("m", "v1").unwrap();
        writer.promote("m", "v2").unwrap();
        assert!(matches!(writer.remove("m", "v2"), Err(RegistryError::InUse(_))));
        assert!(matches!(writer.remove("m", "v0"), Err(RegistryError::ReadOnly(_))));
        assert!(matches!(writer.remove("m", "v9"), Err(RegistryError::Missing(_))));
        assert!(matches!(writer.remove("m", "../m"), Err(RegistryError::Name(_))));
        assert_eq!(writer.old_candidates(1).unwrap(), [("m".to_owned(), "v3".to_owned())]);
        writer.remove("m", "v3").unwrap();
        assert_eq!(writer.old_candidates(0).unwrap(), [("m".to_owned(), "v4".to_owned())]);
        // A removed version is also removed from the history.
        writer.remove("m", "v1").unwrap();
        assert_eq!(history(&folders, "m").unwrap(), ["v2", "v0"]);
        assert_eq!(writer.rollback("m").unwrap(), "v0");
        let left = fs::read_dir(own.path("m")).unwrap().count();
        assert_eq!(left, 3, "active, v2 and v4");
    }

    #[test]
    fn a_model_is_removed_whole_and_no_shipped_one() {
        let (shipped, own) = (Models::new(), Models::new());
        shipped.put("shipped", "v0", |_| {}).activate("shipped", "v0\n");
        own.put("own", "v1", |_| {}).put("own", "v2", |_| {}).activate("own", "v1\n");
        own.put("shipped", "v1", |_| {});
        let folders = [shipped.path(""), own.path("")];
        let writer = Writer::open(&folders).unwrap();
        assert!(matches!(writer.remove_model("shipped"), Err(RegistryError::ReadOnly(_))));
        assert!(matches!(writer.remove_model("none"), Err(RegistryError::Missing(_))));
        assert!(matches!(writer.remove_model(".."), Err(RegistryError::Name(_))));
        writer.remove_model("own").unwrap();
        assert_eq!(models(&folders).unwrap(), ["shipped"]);
        assert!(own.path("shipped/v1").is_dir());
        // What a process left that was killed while it removed a model.
        drop(writer);
        fs::create_dir_all(own.path(".staging-dead/content/v1")).unwrap();
        fs::create_dir(own.path(".tmpSomebodys")).unwrap();
        let _writer = Writer::open(&folders).unwrap();
        let mut left: Vec<_> = fs::read_dir(own.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".lock", ".tmpSomebodys", "shipped"]);
    }

    #[test]
    fn a_promotion_mends_an_active_file_that_names_no_version() {
        let own = Models::new();
        own.put("m", "v1", |_| {}).activate("m", "");
        let writer = Writer::open(&own.folders()).unwrap();
        assert_eq!(versions(&own.folders(), "m").unwrap().len(), 1);
        writer.promote("m", "v1").unwrap();
        assert_eq!(history(&own.folders(), "m").unwrap(), ["v1"]);
    }

    #[test]
    fn one_process_writes_and_sweeps_up() {
        let own = Models::new();
        let folders = own.folders();
        let model = own.path("m");
        fs::create_dir_all(model.join(".staging-folder/plots")).unwrap();
        // Left by killed promotions, of this and of earlier versions of the program.
        for name in [".staging-active", ".tmpXyZ123"] {
            fs::write(model.join(name), "v1\n").unwrap();
        }
        fs::write(model.join(RECIPE_FILE), "kept").unwrap();
        // A training that writes here without the lock.
        let training = Staging::begin(&model).unwrap();
        let writer = Writer::open(&folders).unwrap();
        assert!(training.path().is_dir());
        drop(training);
        let left: Vec<_> = fs::read_dir(&model).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [RECIPE_FILE]);
        assert!(matches!(Writer::open(&folders), Err(RegistryError::Locked(_))));
        drop(writer);
        Writer::open(&folders).unwrap();
    }
}
