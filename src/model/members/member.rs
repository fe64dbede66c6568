//! What the members of an ensemble have in common: scaled inputs in, one row of outputs a sample out.
//!
//! Its own because an ensemble is a list of members that differ inside and agree here. A member says nothing
//! of units: its outputs are standardised targets, or class probabilities.

use std::cell::OnceCell;

use candle_core::{Device, Tensor};

use crate::featurize::{Features, PIXELS};
use crate::model::error::BundleError;
use crate::model::nn::direct::in_patches;
use crate::model::nn::residual::Voice;
use crate::model::spec::manifest::Scaling;

/// The scaled inputs of one pass, where each member finds what it reads.
pub struct Inputs {
    /// Samples.
    pub count: usize,
    /// Features row by row.
    pub row_values: Vec<f32>,
    /// Pixels row by row; empty where no member sees an image.
    pub pixel_values: Vec<f32>,
    device: Device,
    /// (B, N) and (B, 504) on the device, once a member has asked for them.
    tensors: OnceCell<(Tensor, Option<Tensor>)>,
    /// See [`Self::patches`].
    patches: OnceCell<Vec<f32>>,
}

impl Inputs {
    /// Scales features.
    pub fn new(scaling: &Scaling, samples: &[&Features], device: &Device) -> Self {
        let (count, width) = (samples.len(), scaling.row.width());
        let mut row_values = Vec::with_capacity(count * width);
        samples.iter().for_each(|sample| scaling.row.extend(&sample.row, &mut row_values));
        let mut pixel_values = Vec::new();
        if let Some(scaler) = &scaling.pixels {
            pixel_values.reserve(count * PIXELS);
            for image in samples.iter().filter_map(|sample| sample.pixels.as_ref()) {
                scaler.extend(image.as_slice(), &mut pixel_values);
            }
        }
        Self::of(count, row_values, pixel_values, device)
    }

    /// Of numbers that are scaled.
    pub(in crate::model) fn of(count: usize, row_values: Vec<f32>, pixel_values: Vec<f32>, device: &Device) -> Self {
        Self {
            count,
            row_values,
            pixel_values,
            device: device.clone(),
            tensors: OnceCell::new(),
            patches: OnceCell::new(),
        }
    }

    /// The pixels in the order in which a pass over plain numbers reads them ([`in_patches`]).
    pub(in crate::model) fn patches(&self) -> &[f32] {
        self.patches.get_or_init(|| in_patches(&self.pixel_values))
    }

    /// (B, N) and (B, 504), on the device.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn tensors(&self) -> candle_core::Result<(&Tensor, Option<&Tensor>)> {
        if self.tensors.get().is_none() {
            let tensor =
                |values: &[f32]| Tensor::from_slice(values, (self.count, values.len() / self.count), &self.device);
            let pixels = (!self.pixel_values.is_empty()).then(|| tensor(&self.pixel_values)).transpose()?;
            // Nobody else can have set it: the cell is not shared between threads.
            let _ = self.tensors.set((tensor(&self.row_values)?, pixels));
        }
        match self.tensors.get() {
            Some((row, pixels)) => Ok((row, pixels.as_ref())),
            None => candle_core::bail!("inputs without tensors"),
        }
    }
}

/// What a member says of the samples of one pass.
pub struct MemberOutput {
    /// Standardised targets or class probabilities: B rows of its outputs.
    pub values: Vec<f32>,
    /// How new each sample is to it, from 0 (like its training rows) to 1 (like none of them), where it can
    /// tell.
    pub novelty: Option<Vec<f32>>,
    /// The references with the most to say, loudest first, where it has some: as many for each sample.
    pub voices: Vec<Voice>,
}

/// A member, ready to answer.
pub(in crate::model) trait Member: Send + Sync {
    /// Answers the samples of one pass. What it says of one does not depend on the others.
    fn answer(&self, inputs: &Inputs) -> Result<MemberOutput, BundleError>;
}
