//! Loading a bundle from its folder. Servers, trainings, promotions and imports all load here, so that a server can
//! load what a training wrote.
//!
//! This module joins the files of the registry with the tensors of `model`.

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
    /// A model whose answers depend on the batch, where serving such models is not allowed.
    #[error("{0} attends to whatever shares the batch: pass --allow-batch-dependent to serve it all the same")]
    BatchDependent(String),
}

impl LoadError {
    /// The error for clients, without paths.
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
    /// The model's name.
    pub model: String,
    /// Its active version; empty if not known.
    pub version: String,
    /// Its route, if known.
    pub route: Option<String>,
    /// What is wrong, in words, without paths.
    pub reason: String,
    /// The version that answers instead; `None` if none does.
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
    /// The version's name.
    pub version: String,
    /// The version's folder.
    pub folder: PathBuf,
    /// The bundle, self-tested.
    pub bundle: Bundle,
}

/// The version that answers for a model.
#[derive(Debug, Default)]
pub struct Answering {
    /// The active version or, if that cannot be served, the latest earlier version that can. `None` if none can be
    /// served, or none was ever promoted.
    pub found: Option<Found>,
    /// Why this is not the active version.
    pub trouble: Option<Trouble>,
}

/// Loads and self-tests the version that answers for a model.
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
                        let route = route().and_then(|manifest| manifest.route);
                        answering.trouble = Some(trouble(&version, route, error.reason()));
                    }
                    Some(trouble) => {
                        trouble.route = trouble.route.take().or_else(|| route().and_then(|manifest| manifest.route));
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
    check_servable(model, &bundle, allow_batch_dependent)?;
    Ok(Found { version: version.to_owned(), folder, bundle })
}

/// Whether a bundle may be served under a name.
///
/// # Errors
/// [`LoadError::Name`], [`LoadError::BatchDependent`]
pub fn check_servable(name: &str, bundle: &Bundle, allow_batch_dependent: bool) -> Result<(), LoadError> {
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

/// Loads the bundle of one folder and self-tests it.
///
/// # Errors
/// Files that are missing, a bundle that is damaged, or answers that are not finite.
pub fn try_bundle(folder: &Path, device: &Device) -> Result<Bundle, LoadError> {
    let bundle = load_bundle(folder, device)?;
    bundle.self_test().map_err(|source| LoadError::Bundle { folder: folder.to_owned(), source })?;
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Outputs;
    use crate::model::{Manifest, MemberKind, MemberSpec, sha256_hex};
    use crate::registry::fixture::{Models, bundle};
    use crate::registry::{StoredBundle, is_name};

    fn loaded(change: impl FnOnce(&mut Manifest)) -> Result<(), BundleError> {
        let StoredBundle { manifest, weights } = bundle("lab", "v1", change);
        Bundle::load(&manifest, &weights, &Device::Cpu)?.self_test()
    }

    #[test]
    fn weights_that_are_no_numbers_are_refused() {
        let StoredBundle { manifest, mut weights } = bundle("lab", "v1", |_| ());
        let leaf = 0.5f32.to_le_bytes();
        let at = weights.windows(4).position(|bytes| bytes == leaf).unwrap();
        for number in [f32::NAN, f32::INFINITY] {
            weights[at..at + 4].copy_from_slice(&number.to_le_bytes());
            let mut named: Manifest = serde_json::from_slice(&manifest).unwrap();
            named.weights_sha256 = sha256_hex(&weights);
            let error = Bundle::load(&serde_json::to_vec(&named).unwrap(), &weights, &Device::Cpu).unwrap_err();
            assert!(error.to_string().contains("members.0.numbers: number 0 is"), "{error}");
        }
    }

    #[test]
    fn a_manifest_without_outputs_or_families_is_refused() {
        assert!(loaded(|_| ()).is_ok());
        let none = |manifest: &mut Manifest| manifest.schema.outputs = Outputs::Regression { targets: Vec::new() };
        assert!(matches!(loaded(none), Err(BundleError::Manifest(_))));
        assert!(matches!(loaded(|manifest| manifest.families.clear()), Err(BundleError::Manifest(_))));
        let of_nothing = |manifest: &mut Manifest| {
            let MemberSpec { model: MemberKind::Forest(forest), .. } = &manifest.members[0] else { panic!() };
            let model = MemberKind::Forest(crate::model::ForestConfig { outputs: 0, ..forest.clone() });
            manifest.members.push(MemberSpec { family: 0, outputs: Vec::new(), seed: 2, model });
        };
        assert!(matches!(loaded(of_nothing), Err(BundleError::Manifest(_))));
    }

    #[test]
    fn names_of_files_are_no_names_of_versions() {
        for name in ["active", "recipe.toml", "Active", "", ".staging", "a/b", "..", &"x".repeat(200)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name("4844d88fee9c") && is_name("active-2"));
        let models = Models::new();
        models.put("lab", "v1", |_| ()).activate("lab", "v1\n");
        let found = answering(&models.folders(), "lab", &Device::Cpu, false).found.unwrap();
        assert_eq!(found.version, "v1");
    }
}
