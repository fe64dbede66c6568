//! All models on storage, for callers that only read and need not know where the files lie.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;

use super::versions::{self, Version};
use super::{LoadError, RegistryError, load_bundle};
use crate::model::{Bundle, Manifest};

/// The models folders; a model in a later folder shadows one in an earlier folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Library(Arc<[PathBuf]>);

impl Library {
    /// The models of these folders.
    pub fn new(folders: &[PathBuf]) -> Self {
        Self(folders.into())
    }

    /// Whether there is such a model; a recipe alone is enough.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn has(&self, model: &str) -> Result<bool, RegistryError> {
        Ok(versions::models(&self.0)?.iter().any(|name| name == model))
    }

    /// All versions of a model, by name; empty where there is no such model.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn versions(&self, model: &str) -> Result<Vec<Version>, RegistryError> {
        versions::versions(&self.0, model)
    }

    /// One version of a model.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn version(&self, model: &str, version: &str) -> Result<Option<Version>, RegistryError> {
        Ok(self.versions(model)?.into_iter().find(|own| own.name == version))
    }
}

impl Version {
    /// The version's manifest, without its weights.
    ///
    /// # Errors
    /// A file that is missing or is not a manifest.
    pub fn manifest(&self) -> Result<Manifest, RegistryError> {
        versions::read_manifest(&self.folder)
    }

    /// The report that a retraining stored with the version, as JSON.
    ///
    /// # Errors
    /// A file that is there but cannot be read.
    pub fn report(&self) -> Result<Option<String>, RegistryError> {
        versions::report(&self.folder)
    }

    /// Names of the version's plots.
    pub fn plots(&self) -> Vec<String> {
        versions::plots(&self.folder)
    }

    /// One of the version's plots, as SVG; `None` if there is none of that name.
    ///
    /// # Errors
    /// A file that is there but cannot be read.
    pub fn plot(&self, name: &str) -> Result<Option<String>, RegistryError> {
        versions::plot(&self.folder, name)
    }

    /// The version's bundle, on a device.
    ///
    /// # Errors
    /// Files that are missing, or a bundle that is damaged.
    pub fn load(&self, device: &Device) -> Result<Bundle, LoadError> {
        load_bundle(&self.folder, device)
    }
}
