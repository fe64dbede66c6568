//! A sparse Gaussian process. Its mean is an attention over inducing points, with a learned kernel instead of a
//! softmax.
//!
//! The mean is `Σ k(x, point) · weight`, not normalised, plus a linear part. The kernel is a Matérn 3/2 of two blocks
//! of inputs a and b (for a steel: composition and conditions) and of their product:
//!
//! ```text
//! k = e^v₀ m(a) + e^v₁ m(b) + e^v₂ m(a) m(b),   m(d) = (1 + √3 d) e^(−√3 d)
//! ```
//!
//! Points and weights are learned from the training rows and then fixed, so an answer does not depend on the batch. The
//! posterior variance divided by the prior variance is the novelty of a sample.

use std::collections::HashMap;

use candle_core::{D, Device, Result, Tensor};

use crate::featurize::PIXELS;
use crate::model::error::BundleError;
use crate::model::members::member::{Inputs, Member, MemberOutput};
use crate::model::nn::cpu_ops;
use crate::model::probabilities::to_probabilities;
use crate::model::spec::members::GpConfig;

/// Least probability of a class before the probabilities are scaled to sum to 1.
const FLOOR: f32 = 0.005;

/// Matérn 3/2 of all pairs. a: (A, d) and b: (d, B), both divided by their length scales → (A, B).
///
/// # Errors
/// The tensor library failed.
pub fn matern(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let squares =
        (a.matmul(b)? * -2.0)?.broadcast_add(&a.sqr()?.sum_keepdim(1)?)?.broadcast_add(&b.sqr()?.sum_keepdim(0)?)?;
    // Rounding can give a squared distance slightly below 0, where the root has no gradient.
    let distance = ((squares.relu()? + 1e-9)?.sqrt()? * 3f64.sqrt())?;
    (&distance + 1.0)?.mul(&distance.neg()?.exp()?)
}

/// Combines the Matérn values of the two blocks into the kernel. parts: (3), the logarithms v.
///
/// # Errors
/// The tensor library failed.
pub fn combine(first: &Tensor, second: Option<&Tensor>, parts: &Tensor) -> Result<Tensor> {
    let part = |index: usize| parts.narrow(0, index, 1)?.exp();
    let Some(second) = second else { return first.broadcast_mul(&part(0)?) };
    let with_product = second.broadcast_mul(&part(2)?)?.broadcast_add(&part(0)?)?;
    (first * with_product)? + second.broadcast_mul(&part(1)?)?
}

/// The learned tensors of a sparse Gaussian process.
pub struct GpTensors {
    /// (504, components), if the image is used.
    pub projection: Option<Tensor>,
    /// Inverse length scale of each input: (width).
    pub inverse_scales: Tensor,
    /// Logarithms v of the kernel's parts: (3).
    pub parts: Tensor,
    /// Inducing points, divided by the length scales, transposed: (width, points). Stored as `keys`.
    pub inducing_points: Tensor,
    /// (points, outputs). Stored as `values`.
    pub weights: Tensor,
    /// The linear part: (width, outputs).
    pub slopes: Tensor,
    /// (outputs)
    pub offsets: Tensor,
    /// Novelty is 1 − |k · directions|²: (points, rank).
    pub directions: Tensor,
}

impl GpTensors {
    /// The tensors with their names in the file.
    pub fn named(self) -> Vec<(&'static str, Tensor)> {
        let projection = self.projection.map(|projection| ("projection", projection));
        let rest = [
            ("inverse_scales", self.inverse_scales),
            ("parts", self.parts),
            ("keys", self.inducing_points),
            ("values", self.weights),
            ("slopes", self.slopes),
            ("offsets", self.offsets),
            ("directions", self.directions),
        ];
        projection.into_iter().chain(rest).collect()
    }
}

/// A loaded sparse Gaussian process.
pub(in crate::model) struct SparseGp {
    config: GpConfig,
    tensors: GpTensors,
    /// The columns of the two blocks, in order.
    first: Tensor,
    second: Option<Tensor>,
    /// −2 · the inducing points of each block, to compute distances by a product.
    first_points: Tensor,
    second_points: Option<Tensor>,
    fused: cpu_ops::MaternKernel,
}

impl SparseGp {
    pub(in crate::model) fn load(
        config: &GpConfig,
        prefix: &str,
        tensors: &HashMap<String, Tensor>,
        device: &Device,
    ) -> std::result::Result<Self, BundleError> {
        let get = |name: &str, shape: &[usize]| {
            let name = format!("{prefix}.{name}");
            let tensor = tensors.get(&name).ok_or_else(|| BundleError::Weights(format!("{name} is missing")))?;
            if tensor.dims() != shape {
                return Err(BundleError::Weights(format!("{name} has the shape {:?}, not {shape:?}", tensor.dims())));
            }
            Ok(tensor.clone())
        };
        let (width, points, outputs) = (config.width(), config.inducing_points, config.outputs);
        let projection = (config.components > 0).then(|| get("projection", &[PIXELS, config.components]));
        let tensors = GpTensors {
            projection: projection.transpose()?,
            inverse_scales: get("inverse_scales", &[width])?,
            parts: get("parts", &[3])?,
            inducing_points: get("keys", &[width, points])?,
            weights: get("values", &[points, outputs])?,
            slopes: get("slopes", &[width, outputs])?,
            offsets: get("offsets", &[outputs])?,
            directions: get("directions", &[points, config.rank])?,
        };
        let columns = |block: &[usize]| Tensor::new(block.iter().map(|c| *c as u32).collect::<Vec<_>>(), device);
        let (first, rest) = (config.first(), width - config.first());
        let doubled = |from, count| (tensors.inducing_points.narrow(0, from, count)? * -2.0)?.contiguous();
        let squares = |from, count| {
            let squares = tensors.inducing_points.narrow(0, from, count)?.sqr()?.sum(0)?;
            squares.to_device(&Device::Cpu)?.to_vec1::<f32>()
        };
        let parts = tensors.parts.to_device(&Device::Cpu)?.to_vec1::<f32>()?;
        Ok(Self {
            first: columns(&config.blocks[0])?,
            second: (rest > 0).then(|| columns(&config.blocks[1])).transpose()?,
            first_points: doubled(0, first)?,
            second_points: (rest > 0).then(|| doubled(first, rest)).transpose()?,
            fused: cpu_ops::MaternKernel {
                squares: [squares(0, first)?, if rest > 0 { squares(first, rest)? } else { Vec::new() }],
                first,
                parts: [0, 1, 2].map(|index: usize| parts[index].exp()),
            },
            config: config.clone(),
            tensors,
        })
    }

    /// The inputs of both blocks, in order: (B, width).
    fn inputs(&self, inputs: &Inputs) -> Result<Tensor> {
        let (row, pixels) = inputs.tensors()?;
        let mut blocks = vec![row.index_select(&self.first, 1)?];
        if let (Some(projection), Some(pixels)) = (&self.tensors.projection, pixels) {
            blocks.push(pixels.matmul(projection)?);
        }
        if let Some(second) = &self.second {
            blocks.push(row.index_select(second, 1)?);
        }
        Tensor::cat(&blocks, 1)
    }

    /// (B, points)
    fn kernel(&self, scaled: &Tensor) -> Result<Tensor> {
        let rest = self.config.width() - self.config.first();
        let first = scaled.narrow(1, 0, self.config.first())?.contiguous()?;
        let second = (rest > 0).then(|| scaled.narrow(1, self.config.first(), rest)?.contiguous()).transpose()?;
        let first_products = first.matmul(&self.first_points)?;
        let pair = second.as_ref().zip(self.second_points.as_ref());
        let second_products = pair.map(|(second, points)| second.matmul(points)).transpose()?;
        let other = second_products.as_ref().unwrap_or(&first_products);
        if let Some(kernel) = self.fused.forward(&first_products, other, scaled)? {
            return Ok(kernel);
        }
        let points = &self.tensors.inducing_points;
        let second = second.map(|second| matern(&second, &points.narrow(0, self.config.first(), rest)?)).transpose()?;
        combine(&matern(&first, &points.narrow(0, 0, self.config.first())?)?, second.as_ref(), &self.tensors.parts)
    }

    fn forward(&self, inputs: &Inputs) -> Result<(Tensor, Tensor)> {
        let x = self.inputs(inputs)?;
        let kernel = self.kernel(&x.broadcast_mul(&self.tensors.inverse_scales)?)?;
        let linear = x.matmul(&self.tensors.slopes)?.broadcast_add(&self.tensors.offsets)?;
        let outputs = (kernel.matmul(&self.tensors.weights)? + linear)?;
        let known = kernel.matmul(&self.tensors.directions)?.sqr()?.sum(D::Minus1)?;
        Ok((outputs, known))
    }
}

impl Member for SparseGp {
    fn answer(&self, inputs: &Inputs) -> std::result::Result<MemberOutput, BundleError> {
        let (outputs, known) = self.forward(inputs)?;
        let mut values = outputs.flatten_all()?.to_vec1::<f32>()?;
        if self.config.probabilities {
            values.chunks_mut(self.config.outputs).for_each(|row| to_probabilities(row, FLOOR));
        }
        let known = known.to_vec1::<f32>()?;
        let novelty = known.into_iter().map(|known| (1.0 - known).clamp(0.0, 1.0)).collect();
        Ok(MemberOutput { values, novelty: Some(novelty), references: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::nn::cpu_ops::samples::{assert_close, followed, tensor};

    #[test]
    fn the_kernel_at_once_is_what_plain_operations_give() {
        for blocks in [[vec![0, 2], vec![1]], [vec![0, 1, 2], vec![]]] {
            let config =
                GpConfig { inducing_points: 5, outputs: 2, blocks, components: 0, rank: 3, probabilities: false };
            let tensors = GpTensors {
                projection: None,
                inverse_scales: tensor(&[3]),
                parts: tensor(&[3]),
                inducing_points: tensor(&[3, 5]),
                weights: tensor(&[5, 2]),
                slopes: tensor(&[3, 2]),
                offsets: tensor(&[2]),
                directions: tensor(&[5, 3]),
            };
            let named = tensors.named().into_iter().map(|(name, tensor)| (format!("k.{name}"), tensor)).collect();
            let kernel = SparseGp::load(&config, "k", &named, &Device::Cpu).unwrap();
            let scaled = tensor(&[7, 3]);
            assert_close(&kernel.kernel(&scaled).unwrap(), &kernel.kernel(&followed(&scaled)).unwrap());
        }
    }
}
