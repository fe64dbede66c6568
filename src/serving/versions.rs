//! Versions of models that requests ask for by name: loaded on request and kept in a bounded cache.
//!
//! A study can name its version and gets the same predictions after a promotion. The least recently used version is
//! dropped first. Simultaneous requests for the same version share one load.

use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::Live;
use crate::model::{Bundle, OpenDevice};
use crate::registry::{Library, LoadError, RegistryError, check_servable};

/// Why a version cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VersionError {
    /// There is no version of this name; with the existing ones.
    #[error("{model} has no version \"{version}\"; it has: {}", if there.is_empty() { "none".to_owned() } else { there.join(", ") })]
    Unknown {
        /// The model.
        model: String,
        /// The requested version.
        version: String,
        /// The existing versions of the model.
        there: Vec<String>,
    },
    /// It exists, but cannot be served; the reason, in words without paths.
    #[error("version {0} cannot be served: {1}")]
    Unfit(String, String),
    /// Storage cannot be read; the cause is for the log.
    #[error("{0}")]
    Storage(String),
}

/// The loaded versions.
pub(super) struct KeptVersions {
    library: Library,
    device: OpenDevice,
    allow_batch_dependent: bool,
    /// By model and version.
    loaded: Cache<(String, String), Arc<Bundle>>,
}

impl KeptVersions {
    /// An empty cache for at most `kept` versions.
    pub(super) fn new(library: Library, device: OpenDevice, allow_batch_dependent: bool, kept: u64) -> Self {
        let loaded = Cache::builder().max_capacity(kept).eviction_policy(EvictionPolicy::lru()).build();
        Self { library, device, allow_batch_dependent, loaded }
    }

    /// A version from the cache, or loaded on the current thread.
    fn load(&self, model: &str, version: &str) -> Result<Arc<Bundle>, VersionError> {
        let load = || self.read(model, version).map(Arc::new);
        let loaded = self.loaded.try_get_with((model.to_owned(), version.to_owned()), load);
        loaded.map_err(|error| (*error).clone())
    }

    fn read(&self, model: &str, version: &str) -> Result<Bundle, VersionError> {
        let storage = |error: RegistryError| VersionError::Storage(error.to_string());
        let stored = self.library.version(model, version).map_err(storage)?;
        let Some(stored) = stored else {
            let there = self.library.versions(model).map_err(storage)?.into_iter().map(|own| own.name).collect();
            return Err(VersionError::Unknown { model: shown(model), version: shown(version), there });
        };
        let unfit = |error: LoadError| VersionError::Unfit(version.to_owned(), error.reason());
        let bundle = stored.load(&self.device.device).map_err(unfit)?;
        check_servable(model, &bundle, self.allow_batch_dependent).map_err(unfit)?;
        bundle.self_test().map_err(|error| VersionError::Unfit(version.to_owned(), error.to_string()))?;
        Ok(bundle)
    }

    /// Drops a version that was removed from storage.
    pub(super) fn forget(&self, model: &str, version: &str) {
        self.loaded.invalidate(&(model.to_owned(), version.to_owned()));
    }

    /// Drops all versions of a model that was removed from storage.
    pub(super) fn forget_model(&self, model: &str) {
        let own = self.loaded.iter().filter(|(key, _)| key.0 == model);
        own.for_each(|(key, _)| self.loaded.invalidate(&*key));
    }
}

/// A client's text, shortened for an error message.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

impl Live {
    /// A version of a model: the served one, a cached one, or one that is loaded now on a blocking thread.
    ///
    /// # Errors
    /// [`VersionError`]
    pub async fn version(self: &Arc<Self>, model: &str, version: &str) -> Result<Arc<Bundle>, VersionError> {
        let serving = self.current();
        let active = serving.catalogue.get(model).filter(|bundle| bundle.manifest().version == version);
        if let Some(bundle) = active {
            return Ok(Arc::clone(bundle));
        }
        if let Some(bundle) = self.versions.loaded.get(&(model.to_owned(), version.to_owned())) {
            return Ok(bundle);
        }
        let (live, model, version) = (Arc::clone(self), model.to_owned(), version.to_owned());
        let loading = tokio::task::spawn_blocking(move || live.versions.load(&model, &version));
        loading.await.unwrap_or_else(|error| Err(VersionError::Storage(error.to_string())))
    }
}
