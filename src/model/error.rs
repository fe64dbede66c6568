//! Why a bundle cannot be loaded, or a pass failed.

use crate::model::spec::network::ConfigError;

/// Why a bundle cannot be loaded, or a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// `manifest.json` is not what this program writes.
    #[error("manifest: {0}")]
    Manifest(String),
    /// The weights are not those of the manifest.
    #[error("weights: {0}")]
    Weights(String),
    /// The network's sizes are impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tensor library failed.
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A pass gave NaN or infinity.
    #[error("the pass gave a number that is not finite")]
    NotFinite,
}
