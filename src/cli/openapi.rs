//! `mcvn openapi`: prints the document that is checked in as `openapi.yaml`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, anyhow};

use crate::http::openapi_document;
use crate::model::Manifest;
use crate::registry::{active_bundles, read_manifest};

/// Flags of `mcvn openapi`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Folder of the models that the document is of; repeat it (or separate with commas) for more.
    #[arg(long = "models-dir", env = "MCVN_MODELS_DIR", value_delimiter = ',', default_value = "models")]
    models_dirs: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let folders = active_bundles(&arguments.models_dirs)?;
    let manifests = folders.values().map(|folder| read_manifest(folder)).collect::<Result<Vec<Manifest>, _>>()?;
    let alone = |own: &Manifest| manifests.iter().filter(|other| other.route == own.route).count() == 1;
    let models: Vec<(&Manifest, bool)> = manifests.iter().map(|own| (own, own.default || alone(own))).collect();
    let document = openapi_document(&models).map_err(|error| anyhow!(error))?;
    Ok(std::io::stdout().write_all(document.as_bytes())?)
}
