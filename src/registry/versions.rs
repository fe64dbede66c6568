//! The versions of a model: the active one, the earlier ones, and the candidates.
//!
//! A version may lie in any of the models folders; the last folder with an `active` file decides which version is
//! active. `active` holds the active version in its first line and the earlier ones below it, latest first. So a
//! promotion and a rollback are each one atomic rename of one file.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ACTIVE_FILE, MANIFEST_FILE, RegistryError, is_name};
use crate::model::Manifest;

/// Name of the recipe in a model's folder.
pub(super) const RECIPE_FILE: &str = "recipe.toml";
/// Name of the report that a retraining leaves in its bundle.
const REPORT_FILE: &str = "report.json";
/// Name of the folder within a bundle that holds its plots.
const PLOTS_FOLDER: &str = "plots";

/// The state of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// It answers.
    Active,
    /// It answered before, and a rollback may bring it back.
    Previous,
    /// It waits to be promoted, for the first time or again.
    Candidate,
}

/// One version of a model on storage.
#[derive(Clone, Debug)]
pub struct Version {
    /// The version's name.
    pub name: String,
    /// The version's folder.
    pub folder: PathBuf,
    /// The version's state.
    pub state: VersionState,
}

/// Names of all models that have a version, a recipe or an `active` file, in any of the folders.
///
/// # Errors
/// A folder that cannot be read.
pub fn models(folders: &[PathBuf]) -> Result<Vec<String>, RegistryError> {
    let mut found = Vec::new();
    for folder in folders {
        for name in subfolders(folder)? {
            let place = folder.join(&name);
            let named = [RECIPE_FILE, ACTIVE_FILE].iter().any(|file| place.join(file).is_file());
            // If the folder cannot be read, loading its model reports that.
            if named || subfolders(&place).map_or(true, |versions| !versions.is_empty()) {
                found.push(name);
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// All versions of a model; empty if there is no such model.
///
/// # Errors
/// A folder that cannot be read.
pub fn versions(folders: &[PathBuf], model: &str) -> Result<Vec<Version>, RegistryError> {
    if !is_name(model) {
        return Ok(Vec::new());
    }
    let history = known_history(folders, model)?;
    let mut names = Vec::new();
    for folder in folders.iter().map(|folder| folder.join(model)).filter(|folder| folder.is_dir()) {
        let with_manifest = subfolders(&folder)?.into_iter();
        names.extend(with_manifest.filter(|name| folder.join(name).join(MANIFEST_FILE).is_file()));
    }
    names.sort();
    names.dedup();
    let state = |name: &String| match history.iter().position(|known| known == name) {
        Some(0) => VersionState::Active,
        Some(_) => VersionState::Previous,
        None => VersionState::Candidate,
    };
    let version = |name: String| Some(Version { folder: find(folders, model, &name)?, state: state(&name), name });
    Ok(names.into_iter().filter_map(version).collect())
}

/// The active version and the earlier ones, latest first; empty if none was ever promoted.
///
/// # Errors
/// An `active` file that cannot be read or names no version.
pub fn history(folders: &[PathBuf], model: &str) -> Result<Vec<String>, RegistryError> {
    if !is_name(model) {
        return Ok(Vec::new());
    }
    let files = folders.iter().rev().map(|folder| folder.join(model).join(ACTIVE_FILE));
    files.into_iter().find(|file| file.is_file()).map_or_else(|| Ok(Vec::new()), |file| read_history(&file))
}

/// As [`history`], but an `active` file without a valid version name counts as empty, so that a promotion can repair
/// it.
///
/// # Errors
/// An `active` file that cannot be read.
pub fn known_history(folders: &[PathBuf], model: &str) -> Result<Vec<String>, RegistryError> {
    match history(folders, model) {
        Err(RegistryError::Active { .. }) => Ok(Vec::new()),
        history => history,
    }
}

fn read_history(file: &Path) -> Result<Vec<String>, RegistryError> {
    let bytes = fs::read(file).map_err(RegistryError::io(file))?;
    let text = String::from_utf8_lossy(&bytes);
    // Some editors write a byte order mark first.
    let text = text.trim_start_matches('\u{feff}');
    let history: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    match history.iter().find(|version| !is_name(version)) {
        None if !history.is_empty() => Ok(history),
        wrong => Err(RegistryError::Active { path: file.to_owned(), version: wrong.cloned().unwrap_or_default() }),
    }
}

/// The folder of a version; a later models folder takes precedence.
pub fn find(folders: &[PathBuf], model: &str, version: &str) -> Option<PathBuf> {
    let named = is_name(model) && is_name(version);
    let mut places = folders.iter().rev().map(|folder| folder.join(model).join(version));
    places.find(|place| named && place.join(MANIFEST_FILE).is_file())
}

/// The recipe of a model, as text; a later models folder takes precedence.
///
/// # Errors
/// A file that cannot be read.
pub fn recipe(folders: &[PathBuf], model: &str) -> Result<Option<String>, RegistryError> {
    let mut files = folders.iter().rev().map(|folder| folder.join(model).join(RECIPE_FILE));
    files.find(|file| is_name(model) && file.is_file()).map_or(Ok(None), |file| text_if_there(&file))
}

/// The manifest of a bundle, read without its weights.
///
/// # Errors
/// A file that is missing or is not a manifest.
pub fn read_manifest(folder: &Path) -> Result<Manifest, RegistryError> {
    let path = folder.join(MANIFEST_FILE);
    let bytes = fs::read(&path).map_err(RegistryError::io(&path))?;
    serde_json::from_slice(&bytes).map_err(|error| RegistryError::Io { path, source: error.into() })
}

/// The report of a bundle from a retraining, as JSON.
///
/// # Errors
/// A file that is there but cannot be read.
pub fn report(folder: &Path) -> Result<Option<String>, RegistryError> {
    text_if_there(&folder.join(REPORT_FILE))
}

/// One of the plots of a bundle, as SVG; `None` if there is none of that name.
///
/// # Errors
/// A file that is there but cannot be read.
pub(super) fn plot(folder: &Path, name: &str) -> Result<Option<String>, RegistryError> {
    if !is_name(name) {
        return Ok(None);
    }
    text_if_there(&folder.join(PLOTS_FOLDER).join(name))
}

/// Names of the plots of a bundle.
pub(super) fn plots(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join(PLOTS_FOLDER)).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn text_if_there(file: &Path) -> Result<Option<String>, RegistryError> {
    if !file.is_file() {
        return Ok(None);
    }
    fs::read_to_string(file).map(Some).map_err(RegistryError::io(file))
}

/// Subfolders whose names are valid names of models or versions.
pub(super) fn subfolders(folder: &Path) -> Result<Vec<String>, RegistryError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(RegistryError::io(folder))? {
        let entry = entry.map_err(RegistryError::io(folder))?;
        let name = entry.file_name().to_str().map(str::to_owned);
        names.extend(name.filter(|name| is_name(name) && entry.path().is_dir()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_read_from_the_last_folder_that_has_one() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [first.path().to_owned(), second.path().to_owned()];
        for (folder, version) in [(&first, "v1"), (&second, "v2"), (&second, "v3")] {
            fs::create_dir_all(folder.path().join("m").join(version)).unwrap();
            fs::write(folder.path().join("m").join(version).join(MANIFEST_FILE), "{}").unwrap();
        }
        fs::write(first.path().join("m/active"), "v1\n").unwrap();
        assert_eq!(history(&folders, "m").unwrap(), ["v1"]);
        fs::write(second.path().join("m/active"), "\u{feff}v2\r\nv1\r\n").unwrap();
        let states: Vec<_> = versions(&folders, "m").unwrap().into_iter().map(|v| (v.name, v.state)).collect();
        let state = |name: &str, state| (name.to_owned(), state);
        assert_eq!(
            states,
            [
                state("v1", VersionState::Previous),
                state("v2", VersionState::Active),
                state("v3", VersionState::Candidate)
            ]
        );
        assert!(find(&folders, "m", "v1").unwrap().starts_with(first.path()));
        assert_eq!(find(&folders, "m", "../m/v1"), None);
        assert_eq!(versions(&folders, "..").unwrap().len(), 0);
        fs::write(second.path().join("m/active"), "").unwrap();
        assert!(matches!(history(&folders, "m"), Err(RegistryError::Active { .. })));
    }
}
