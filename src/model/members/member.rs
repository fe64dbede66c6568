//! The interface of ensemble members: scaled inputs in, one row of outputs per sample out.
//!
//! A member does not know units. Its outputs are standardised targets or class probabilities.

use std::cell::OnceCell;

use candle_core::{Device, Tensor};

use crate::featurize::{Features, PIXELS};
use crate::model::error::BundleError;
use crate::model::nn::direct::in_patches;
use crate::model::nn::residual::ReferenceAttention;
use crate::model::spec::manifest::Scaling;

/// The scaled inputs of one pass. Each member takes the part it uses.
pub struct Inputs {
    /// Number of samples.
    pub count: usize,
    /// Features, row by row.
    pub row_values: Vec<f32>,
    /// Pixels, row by row; empty if no member uses the image.
    pub pixel_values: Vec<f32>,
    device: Device,
    /// (B, N) and (B, 504) on the device, created on first use.
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

    /// From values that are already scaled.
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

    /// The pixels in the order that [`crate::model::nn::direct`] reads ([`in_patches`]).
    pub(in crate::model) fn patches(&self) -> &[f32] {
        self.patches.get_or_init(|| in_patches(&self.pixel_values))
    }

    /// (B, N) and (B, 504) on the device.
    ///
    /// # Errors
    /// The device failed.
    pub fn tensors(&self) -> candle_core::Result<(&Tensor, Option<&Tensor>)> {
        if self.tensors.get().is_none() {
            let tensor =
                |values: &[f32]| Tensor::from_slice(values, (self.count, values.len() / self.count), &self.device);
            let pixels = (!self.pixel_values.is_empty()).then(|| tensor(&self.pixel_values)).transpose()?;
            // The cell is not shared between threads, so it is still empty here.
            let _ = self.tensors.set((tensor(&self.row_values)?, pixels));
        }
        match self.tensors.get() {
            Some((row, pixels)) => Ok((row, pixels.as_ref())),
            None => candle_core::bail!("inputs without tensors"),
        }
    }
}

/// The output of a member for the samples of one pass.
pub struct MemberOutput {
    /// Standardised targets or class probabilities: B rows of the member's outputs.
    pub values: Vec<f32>,
    /// Novelty of each sample, from 0 (like the training rows) to 1 (unlike all of them), if the member measures it.
    pub novelty: Option<Vec<f32>>,
    /// The references with the largest weights, in decreasing order, the same number for each sample; empty without
    /// references.
    pub references: Vec<ReferenceAttention>,
}

/// A loaded member.
pub(in crate::model) trait Member: Send + Sync {
    /// Predicts the samples of one pass. The output for a sample does not depend on the others.
    fn answer(&self, inputs: &Inputs) -> Result<MemberOutput, BundleError>;
}
