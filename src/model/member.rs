//! What the members of a committee have in common: scaled inputs in, one row of outputs a sample out.
//!
//! Its own because a committee is a list of members that differ inside and agree here. A member says nothing
//! of units: its outputs are standardised targets, or class probabilities.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::bundle::BundleError;
use super::config::McvnConfig;
use super::forest::ForestConfig;
use super::kernel::KernelConfig;
use super::manifest::Scaling;
use crate::featurize::{Features, PIXELS};

/// What a member is, with its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MemberKind {
    /// The paper's network in some size.
    Network(McvnConfig),
    /// Kernel attention over learned keys.
    Kernel(KernelConfig),
    /// Trees, averaged or boosted.
    Forest(ForestConfig),
}

impl MemberKind {
    /// Its name in tables and files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Network(_) => "network",
            Self::Kernel(_) => "kernel",
            Self::Forest(forest) if forest.boosted => "boosting",
            Self::Forest(_) => "forest",
        }
    }
}

/// The scaled inputs of one pass, where each member finds what it reads.
pub struct Inputs {
    /// Samples.
    pub count: usize,
    /// (B, N) on the device.
    pub row: Tensor,
    /// (B, 504) on the device.
    pub pixels: Option<Tensor>,
    /// The same row by row, for members that run on the CPU alone.
    pub row_values: Vec<f32>,
    /// Pixels row by row, for the same members.
    pub pixel_values: Vec<f32>,
}

impl Inputs {
    /// Scales features and takes them to the device.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn new(scaling: &Scaling, samples: &[&Features], device: &Device) -> candle_core::Result<Self> {
        let (count, width) = (samples.len(), scaling.row.width());
        let mut row_values = Vec::with_capacity(count * width);
        samples.iter().for_each(|sample| scaling.row.extend(&sample.row, &mut row_values));
        let row = Tensor::from_slice(&row_values, (count, width), device)?;
        let mut pixel_values = Vec::new();
        let mut pixels = None;
        if let Some(scaler) = &scaling.pixels {
            pixel_values.reserve(count * PIXELS);
            for image in samples.iter().filter_map(|sample| sample.pixels.as_ref()) {
                scaler.extend(image.as_slice(), &mut pixel_values);
            }
            pixels = Some(Tensor::from_slice(&pixel_values, (count, PIXELS), device)?);
        }
        Ok(Self { count, row, pixels, row_values, pixel_values })
    }
}

/// What a member says of the samples of one pass.
pub struct Said {
    /// Standardised targets or class probabilities: B rows of its outputs.
    pub values: Vec<f32>,
    /// How new each sample is to it, from 0 (like its training rows) to 1 (like none of them), where it can
    /// tell.
    pub novelty: Option<Vec<f32>>,
}

/// One of the committee, ready to answer.
pub(super) trait Member: Send + Sync {
    /// Answers the samples of one pass. What it says of one does not depend on the others.
    fn answer(&self, inputs: &Inputs) -> Result<Said, BundleError>;
}
