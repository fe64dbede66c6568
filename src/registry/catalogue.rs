//! The models in use, loaded on a device.
//!
//! Its own because loading joins two worlds: files here, tensors in `model`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;

use super::{RegistryError, active_bundles, read_bundle};
use crate::model::{Bundle, BundleError};

/// Why the models cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Files that cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A bundle that is damaged.
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
    /// Two models of one route that both claim to be its default.
    #[error("{0} and {1} both claim to be the default of {2}")]
    Defaults(String, String, String),
    /// No model at all.
    #[error("no active model in {0}")]
    Empty(String),
}

/// The models in use, by name.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    bundles: BTreeMap<String, Arc<Bundle>>,
}

impl Catalogue {
    /// Loads the active version of every model.
    ///
    /// # Errors
    /// The first model that cannot be served: a server that starts serves all of them.
    pub fn load(folders: &[PathBuf], device: &Device, allow_batch_dependent: bool) -> Result<Self, CatalogueError> {
        let mut bundles = BTreeMap::new();
        for (name, folder) in active_bundles(folders)? {
            let bundle = load_bundle(&folder, device)?;
            check(&name, &bundle, allow_batch_dependent)?;
            bundles.insert(name, Arc::new(bundle));
        }
        if bundles.is_empty() {
            let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            return Err(CatalogueError::Empty(folders.join(", ")));
        }
        let catalogue = Self { bundles };
        catalogue.check_defaults()?;
        Ok(catalogue)
    }

    /// The same models, one of them (or a new one) with this bundle.
    ///
    /// # Errors
    /// A bundle that cannot be served, or not beside the others.
    pub fn with(&self, name: &str, bundle: Arc<Bundle>, allow_batch_dependent: bool) -> Result<Self, CatalogueError> {
        check(name, &bundle, allow_batch_dependent)?;
        let mut catalogue = self.clone();
        catalogue.bundles.insert(name.to_owned(), bundle);
        catalogue.check_defaults()?;
        Ok(catalogue)
    }

    fn check_defaults(&self) -> Result<(), CatalogueError> {
        let mut defaults = BTreeMap::new();
        for manifest in self.iter().map(|bundle| bundle.manifest()).filter(|manifest| manifest.default) {
            if let Some(other) = defaults.insert(manifest.route.as_str(), manifest.name.as_str()) {
                let (name, route) = (manifest.name.clone(), manifest.route.clone());
                return Err(CatalogueError::Defaults(other.to_owned(), name, route));
            }
        }
        Ok(())
    }

    /// The bundle of one model.
    pub fn get(&self, name: &str) -> Option<&Arc<Bundle>> {
        self.bundles.get(name)
    }

    /// All bundles, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Bundle>> {
        self.bundles.values()
    }

    /// The bundles that answer on one route.
    pub fn of_route<'a>(&'a self, route: &'a str) -> impl Iterator<Item = &'a Arc<Bundle>> {
        self.iter().filter(move |bundle| bundle.manifest().route == route)
    }

    /// The bundle that answers on a route where none is named: its default, or its only one.
    pub fn default_of<'a>(&'a self, route: &'a str) -> Option<&'a Arc<Bundle>> {
        let mut all = self.of_route(route);
        let only = all.next().filter(|_| all.next().is_none());
        self.of_route(route).find(|bundle| bundle.manifest().default).or(only)
    }
}

/// Whether a bundle may be served under a name.
fn check(name: &str, bundle: &Bundle, allow_batch_dependent: bool) -> Result<(), CatalogueError> {
    let manifest = bundle.manifest();
    if manifest.name != name {
        return Err(CatalogueError::Name(name.to_owned(), manifest.name.clone()));
    }
    if manifest.batch_dependent() && !allow_batch_dependent {
        return Err(CatalogueError::BatchDependent(name.to_owned()));
    }
    Ok(())
}

/// Loads the bundle of one folder.
///
/// # Errors
/// Files that are missing, or a bundle that is damaged.
pub fn load_bundle(folder: &Path, device: &Device) -> Result<Bundle, CatalogueError> {
    let stored = read_bundle(folder)?;
    Bundle::load(&stored.manifest, &stored.weights, device)
        .map_err(|source| CatalogueError::Bundle { folder: folder.to_owned(), source })
}
