//! The kinds of ensemble members with their sizes, as recorded in a manifest.

use serde::{Deserialize, Serialize};

use super::network::McvnConfig;

/// The kind of a member, with its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MemberKind {
    /// The paper's network, in any size.
    Network(McvnConfig),
    /// A sparse Gaussian process: kernel attention over inducing points.
    #[serde(rename = "kernel")]
    Gp(GpConfig),
    /// Trees, averaged or boosted.
    Forest(ForestConfig),
}

impl MemberKind {
    /// Name of the kind in tables and files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Network(_) => "network",
            Self::Gp(_) => "kernel",
            Self::Forest(forest) if forest.boosted => "boosting",
            Self::Forest(_) => "forest",
        }
    }
}

/// The sizes of a sparse Gaussian process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpConfig {
    /// Number of inducing points.
    #[serde(rename = "keys")]
    pub inducing_points: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// Columns of the feature row in each block.
    pub blocks: [Vec<usize>; 2],
    /// Number of principal components of the image that are added to the first block.
    pub components: usize,
    /// Number of directions for the novelty.
    pub rank: usize,
    /// Whether the outputs are class probabilities.
    pub probabilities: bool,
}

impl GpConfig {
    /// Total number of inputs.
    pub fn width(&self) -> usize {
        self.blocks[0].len() + self.components + self.blocks[1].len()
    }

    /// Number of inputs in the first block. They come first.
    pub fn first(&self) -> usize {
        self.blocks[0].len() + self.components
    }
}

/// The sizes of a forest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForestConfig {
    /// Number of trees for each output.
    pub trees: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// Width of the feature row.
    pub row_features: usize,
    /// Whether the pixels follow the row's features.
    pub image: bool,
    /// Whether the outputs are class probabilities.
    pub probabilities: bool,
    /// Whether trees correct one another, so that their leaves are added (for a class: log odds) instead of averaged.
    #[serde(default)]
    pub boosted: bool,
}
