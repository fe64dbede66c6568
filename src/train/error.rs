//! Errors of training.

use crate::model::{BundleError, ConfigError};

/// Why training ended without a bundle.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The observer stopped the training.
    #[error("training was cancelled")]
    Cancelled,
    /// The loss became NaN or infinite.
    #[error("training diverged at step {0}: lower the learning rate")]
    Diverged(usize),
    /// Numbers are so large that their squares overflow.
    #[error("a column's numbers are too large to be scaled: give it in a larger unit")]
    TooLarge,
    /// The sizes of the network are impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tensor library failed.
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A tree library or a baseline method failed.
    #[error("learner: {0}")]
    Learner(String),
    /// The bundle could not be encoded.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}
