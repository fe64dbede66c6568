//! From a folder to a bundle that answers: the one door for servers, trainings, promotions and imports.
//!
//! Its own because everyone must find the same: what a training wrote, a server loads. Loading joins two worlds, files
//! here, tensors in `model`.

use std::fmt;
use std::path::{Path, PathBuf};

use candle_core::Device;

use super::{RegistryError, find, history, read_bundle, read_manifest};
use crate::model::{Bundle, BundleError};

/// Why a bundle cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Files that cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A bundle that is damaged, or does not answer.
    #[error("{folder}: {source}")]
    Bundle {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: BundleError,
    },
    /// A bundle whose manifest names another model than its folder.
    #[error("the folder of {0} holds the model {1}")]
    Name(String, String),
    /// A model whose answers depend on the batch, without leave to serve it.
    #[error("{0} attends to whatever shares the batch: pass --allow-batch-dependent to serve it all the same")]
    BatchDependent(String),
}

impl LoadError {
    /// The same for clients, who need not know where files lie.
    pub fn reason(&self) -> String {
        match self {
            Self::Bundle { source, .. } => source.to_string(),
            Self::Registry(error) => error.reason(),
            Self::Name(..) | Self::BatchDependent(_) => self.to_string(),
        }
    }
}

/// A model that does not answer as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its name.
    pub model: String,
    /// Its version in use; empty where that is not known.
    pub version: String,
    /// Its route, where that is known.
    pub route: Option<String>,
    /// What is wrong, in words; no paths.
    pub reason: String,
    /// The version that answers all the same; `None` where none does.
    pub answers: Option<String>,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.version.is_empty() { String::new() } else { format!(" {}", self.version) };
        write!(f, "{}{version}: {}", self.model, self.reason)
    }
}

/// A version that can be served.
#[derive(Debug)]
pub struct Found {
    /// Its name.
    pub version: String,
    /// Where it is.
    pub folder: PathBuf,
    /// The bundle, tried.
    pub bundle: Bundle,
}

/// What answers for a model.
#[derive(Debug, Default)]
pub struct Answering {
    /// The version in use, or where it cannot be served the latest one before it that can; `None` where none can, or
    /// none was ever promoted.
    pub found: Option<Found>,
    /// Why it is not the version in use.
    pub trouble: Option<Trouble>,
}

/// Loads and tries what answers for a model.
pub fn answering(folders: &[PathBuf], model: &str, device: &Device, allow_batch_dependent: bool) -> Answering {
    let trouble = |version: &str, route, reason| Trouble {
        model: model.to_owned(),
        version: version.to_owned(),
        route,
        reason,
        answers: None,
    };
    let history = match history(folders, model) {
        Ok(history) => history,
        Err(error) => return Answering { found: None, trouble: Some(trouble("", None, error.reason())) },
    };
    let mut answering = Answering::default();
    for version in history {
        match tried(folders, model, &version, device, allow_batch_dependent) {
            Ok(found) => {
                answering.found = Some(found);
                break;
            }
            Err(error) => {
                let route = || find(folders, model, &version).and_then(|folder| read_manifest(&folder).ok());
                match &mut answering.trouble {
                    None => {
                        let route = route().map(|manifest| manifest.route);
                        answering.trouble = Some(trouble(&version, route, error.reason()));
                    }
                    Some(trouble) => {
                        trouble.route = trouble.route.take().or_else(|| route().map(|manifest| manifest.route));
                        trouble.reason += &format!("; {version} before it: {}", error.reason());
                    }
                }
            }
        }
    }
    if let Some(trouble) = &mut answering.trouble {
        trouble.answers = answering.found.as_ref().map(|found| found.version.clone());
    }
    answering
}

fn tried(
    folders: &[PathBuf],
    model: &str,
    version: &str,
    device: &Device,
    allow_batch_dependent: bool,
) -> Result<Found, LoadError> {
    let missing = || RegistryError::Missing(format!("{model} {version}"));
    let folder = find(folders, model, version).ok_or_else(missing)?;
    let bundle = try_bundle(&folder, device)?;
    check(model, &bundle, allow_batch_dependent)?;
    Ok(Found { version: version.to_owned(), folder, bundle })
}

/// Whether a bundle may be served under a name.
pub(super) fn check(name: &str, bundle: &Bundle, allow_batch_dependent: bool) -> Result<(), LoadError> {
    let manifest = bundle.manifest();
    if manifest.name != name {
        return Err(LoadError::Name(name.to_owned(), manifest.name.clone()));
    }
    if manifest.batch_dependent() && !allow_batch_dependent {
        return Err(LoadError::BatchDependent(name.to_owned()));
    }
    Ok(())
}

/// Loads the bundle of one folder.
///
/// # Errors
/// Files that are missing, or a bundle that is damaged.
pub fn load_bundle(folder: &Path, device: &Device) -> Result<Bundle, LoadError> {
    let stored = read_bundle(folder)?;
    Bundle::load(&stored.manifest, &stored.weights, device)
        .map_err(|source| LoadError::Bundle { folder: folder.to_owned(), source })
}

/// Loads the bundle of one folder, and has it answer.
///
/// # Errors
/// Files that are missing, a bundle that is damaged, or one that gives no finite answers.
pub fn try_bundle(folder: &Path, device: &Device) -> Result<Bundle, LoadError> {
    let bundle = load_bundle(folder, device)?;
    bundle.try_out().map_err(|source| LoadError::Bundle { folder: folder.to_owned(), source })?;
    Ok(bundle)
}
