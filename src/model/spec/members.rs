//! What a member of an ensemble is, with its sizes: what a manifest records of each.

use serde::{Deserialize, Serialize};

use super::network::McvnConfig;

/// What a member is, with its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MemberKind {
    /// The paper's network in some size.
    Network(McvnConfig),
    /// A sparse Gaussian process: kernel attention over inducing points.
    #[serde(rename = "kernel")]
    Gp(GpConfig),
    /// Trees, averaged or boosted.
    Forest(ForestConfig),
}

impl MemberKind {
    /// Its name in tables and files.
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
    /// Inducing points.
    #[serde(rename = "keys")]
    pub inducing_points: usize,
    /// Outputs.
    pub outputs: usize,
    /// Columns of the feature row in each block.
    pub blocks: [Vec<usize>; 2],
    /// Principal components of the image that join the first block.
    pub components: usize,
    /// Directions in which novelty is measured.
    pub rank: usize,
    /// Whether the outputs are class probabilities.
    pub probabilities: bool,
}

impl GpConfig {
    /// Inputs in all.
    pub fn width(&self) -> usize {
        self.blocks[0].len() + self.components + self.blocks[1].len()
    }

    /// Inputs of the first block, which come first.
    pub fn first(&self) -> usize {
        self.blocks[0].len() + self.components
    }
}

/// The sizes of a forest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForestConfig {
    /// Trees for each output.
    pub trees: usize,
    /// Outputs.
    pub outputs: usize,
    /// Width of the feature row.
    pub row_features: usize,
    /// Whether the pixels follow the row's features.
    pub image: bool,
    /// Whether the outputs are class probabilities.
    pub probabilities: bool,
    /// Whether trees correct one another, so that their leaves are added up (of a class: log odds), not averaged.
    #[serde(default)]
    pub boosted: bool,
}
