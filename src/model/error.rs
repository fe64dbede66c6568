//! Errors of loading a bundle or of a pass.

use crate::model::spec::network::ConfigError;

/// Why a bundle could not be loaded, or a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// `manifest.json` is not valid for this program.
    #[error("manifest: {0}")]
    Manifest(String),
    /// The weights do not belong to the manifest.
    #[error("weights: {0}")]
    Weights(String),
    /// The sizes of the network are impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tensor library failed.
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A pass returned NaN or infinity.
    #[error("the pass gave a number that is not finite")]
    NotFinite,
}
