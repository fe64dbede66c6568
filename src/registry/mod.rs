//! Bundles on storage: `<models>/<name>/<version>/{manifest.json, weights.safetensors, MODEL_CARD.md}`,
//! `<models>/<name>/active`, a file that names the active version (and the earlier ones), and
//! `<models>/<name>/recipe.toml`, how the model is made.
//!
//! Only this module knows where files lie. Each write is whole or not done at all: everything goes to a temporary
//! folder next to its final place, is synced, loaded and tested there, and is then renamed. So a server can load
//! every bundle that has a place among the versions.

mod catalogue;
#[cfg(test)]
mod fixture;
mod library;
mod load;
mod staging;
mod versions;
mod writer;

pub use catalogue::{Catalogue, CatalogueError};
pub use library::Library;
pub use load::{Answering, Found, LoadError, Trouble, answering, check_servable, load_bundle, try_bundle};
pub use versions::{
    Version, VersionState, find, history, known_history, models, read_manifest, recipe, report, versions,
};
pub use writer::Writer;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use candle_core::Device;

use crate::files;
use crate::model::Manifest;
use staging::Staging;

/// Name of the manifest in a bundle's folder.
pub const MANIFEST_FILE: &str = "manifest.json";
/// Name of the weights in a bundle's folder.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
/// Name of the model card in a bundle's folder.
pub const CARD_FILE: &str = "MODEL_CARD.md";
/// Name of the file that names a model's active version.
pub const ACTIVE_FILE: &str = "active";
/// Longest name of a version or a model.
const LONGEST_NAME: usize = 128;

/// Why a bundle cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A file system error.
    #[error("{path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// The text in `active` is not the name of a version.
    #[error("{path}: \"{version}\" is not the name of a version")]
    Active {
        /// The file.
        path: PathBuf,
        /// The text in it.
        version: String,
    },
    /// A bundle with this name exists already.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// A bundle that cannot be loaded or does not answer; nothing was written.
    #[error("{0}: not written, for the bundle cannot be used: {1}")]
    Unfit(PathBuf, String),
    /// Another process has the folder locked for writing.
    #[error("{0} is written to by another process (a running server, perhaps: use its admin routes)")]
    Locked(PathBuf),
    /// The version is active.
    #[error("{0} is in use: promote another version first")]
    InUse(String),
    /// The version lies in a models folder that is only read.
    #[error("{0} stands in a models folder that is only read")]
    ReadOnly(String),
    /// There is no such version.
    #[error("{0} is not there")]
    Missing(String),
    /// A text that is not a valid name of a model or a version.
    #[error("\"{0}\" is not a name: use letters, digits, dots, - and _")]
    Name(String),
}

impl RegistryError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// The error for clients, without paths.
    pub fn reason(&self) -> String {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match self {
            Self::Io { path, source } => format!("{}: {source}", name(path)),
            Self::Active { path, version } => format!("{}: \"{version}\" is not the name of a version", name(path)),
            Self::Exists(path) => format!("{} exists already", name(path)),
            Self::Unfit(_, reason) => reason.clone(),
            Self::Locked(_) => "another process writes there".to_owned(),
            Self::InUse(_) | Self::ReadOnly(_) | Self::Missing(_) | Self::Name(_) => self.to_string(),
        }
    }
}

/// A bundle's files in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBundle {
    /// `manifest.json`
    pub manifest: Vec<u8>,
    /// `weights.safetensors`
    pub weights: Vec<u8>,
}

/// Folders of the active versions, by model name. A later models folder shadows an earlier one; the folder of the
/// version itself may lie in any of them.
///
/// # Errors
/// A models folder that cannot be read, or an `active` file that names no version.
pub fn active_bundles(folders: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>, RegistryError> {
    let mut found = BTreeMap::new();
    for model in models(folders)? {
        if let Some(folder) = active_bundle(folders, &model)? {
            found.insert(model, folder);
        }
    }
    Ok(found)
}

/// Folder of a model's active version; `None` if no version was ever promoted or the model does not exist.
///
/// # Errors
/// An `active` file that names no version.
pub fn active_bundle(folders: &[PathBuf], model: &str) -> Result<Option<PathBuf>, RegistryError> {
    let Some(version) = history(folders, model)?.into_iter().next() else { return Ok(None) };
    let missing = || RegistryError::Missing(format!("{model} {version}, the version in use,"));
    find(folders, model, &version).map(Some).ok_or_else(missing)
}

/// Reads a bundle's folder.
///
/// # Errors
/// A file that is missing or cannot be read.
pub fn read_bundle(folder: &Path) -> Result<StoredBundle, RegistryError> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).map_err(RegistryError::io(&path))
    };
    Ok(StoredBundle { manifest: read(MANIFEST_FILE)?, weights: read(WEIGHTS_FILE)? })
}

/// Writes a bundle to a new folder: whole and self-tested, or not at all. `extras` are additional files, by name
/// within the folder, such as `plots/loss.svg`.
///
/// # Errors
/// [`RegistryError::Exists`], [`RegistryError::Unfit`], or a file system error.
pub fn write_bundle(
    folder: &Path,
    bundle: &StoredBundle,
    card: &str,
    extras: &[(String, Vec<u8>)],
) -> Result<(), RegistryError> {
    if folder.exists() {
        return Err(RegistryError::Exists(folder.to_owned()));
    }
    let parent = files::folder_of(folder);
    fs::create_dir_all(parent).map_err(RegistryError::io(parent))?;
    let staging = Staging::begin(parent).map_err(RegistryError::io(parent))?;
    let files = [
        (MANIFEST_FILE, bundle.manifest.as_slice()),
        (WEIGHTS_FILE, bundle.weights.as_slice()),
        (CARD_FILE, card.as_bytes()),
    ];
    for (name, bytes) in files.into_iter().chain(extras.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))) {
        let path = staging.path().join(name);
        let place = path.parent().unwrap_or(staging.path());
        fs::create_dir_all(place).map_err(RegistryError::io(place))?;
        files::write(&path, bytes).map_err(RegistryError::io(&path))?;
    }
    files::sync(staging.path()).map_err(RegistryError::io(staging.path()))?;
    readable(staging.path()).map_err(RegistryError::io(staging.path()))?;
    fit(staging.path(), folder)?;
    staging.finish(folder).map_err(RegistryError::io(folder))
}

/// Checks that a staged bundle can be served on any machine.
fn fit(staged: &Path, place: &Path) -> Result<(), RegistryError> {
    let unfit = |error: LoadError| RegistryError::Unfit(place.to_owned(), error.reason());
    try_bundle(staged, &Device::Cpu).map(|_| ()).map_err(unfit)
}

/// Whether a folder holds a bundle that answers as one with this manifest does.
pub fn holds_the_same(folder: &Path, manifest: &Manifest) -> bool {
    let there = read_manifest(folder).ok().and_then(|there| there.digest().ok());
    there.is_some() && there == manifest.digest().ok()
}

/// Whether a text is a valid name of a version or a model: it must stay inside its folder, and must not be one of the
/// file names used there.
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let file = [ACTIVE_FILE, versions::RECIPE_FILE].iter().any(|file| file.eq_ignore_ascii_case(text));
    !text.is_empty() && text.len() <= LONGEST_NAME && !text.starts_with('.') && text.chars().all(plain) && !file
}

/// Makes a folder readable for all. Temporary folders are readable for their owner only, but bundles are for every
/// server.
fn readable(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::fixture::{Models, bundle};
    use super::*;

    #[test]
    fn writes_whole_and_never_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("m/v1");
        let bundle = bundle("m", "v1", |_| {});
        write_bundle(&place, &bundle, "card", &[]).unwrap();
        assert_eq!(read_bundle(&place).unwrap(), bundle);
        assert!(matches!(write_bundle(&place, &bundle, "card", &[]), Err(RegistryError::Exists(_))));
        let left: Vec<_> = fs::read_dir(folder.path().join("m")).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing but the bundle: {left:?}");
    }

    #[test]
    fn what_cannot_be_loaded_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("m/v1");
        let torn = StoredBundle { weights: b"torn".to_vec(), ..bundle("m", "v1", |_| {}) };
        let error = write_bundle(&place, &torn, "card", &[]).unwrap_err();
        assert!(matches!(error, RegistryError::Unfit(..)) && error.to_string().contains("SHA-256"), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("m")).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn a_later_folder_shadows_an_earlier_one() {
        let (first, second) = (Models::new(), Models::new());
        first.put("m", "v1", |_| {}).activate("m", "v1\n");
        second.put("m", "v2", |_| {}).activate("m", "v2\n");
        let folders = [first.path(""), second.path("")];
        assert!(active_bundles(&folders).unwrap()["m"].ends_with("m/v2"));
        second.activate("m", "../../etc");
        assert!(matches!(active_bundles(&folders), Err(RegistryError::Active { .. })));
        second.activate("m", "v9");
        assert!(matches!(active_bundles(&folders), Err(RegistryError::Missing(_))));
    }
}
