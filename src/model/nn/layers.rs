//! The basic layers: linear, layer norm, piecewise-linear encoding. On a CPU, each runs in one pass over memory when
//! serving ([`super::cpu_ops`]).

use candle_core::{Device, Result, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::model::nn::cpu_ops;
use crate::model::spec::network::Activation;

/// A fully connected layer. Weights are stored as (inputs, outputs). With a contiguous right-hand side, candle computes
/// each row of a product in the same order whatever the number of rows, so the result of a row does not depend on its
/// batch, bit for bit. (With PyTorch's transposed layout it does.)
pub(in crate::model) struct Linear {
    pub(in crate::model) weight: Tensor,
    pub(in crate::model) bias: Tensor,
}

impl Linear {
    /// Initial weights and biases are uniform within ± 1/√inputs.
    pub(in crate::model) fn new(inputs: usize, outputs: usize, vb: VarBuilder) -> Result<Self> {
        let bound = 1.0 / (inputs as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        let weight = vb.get_with_hints((inputs, outputs), "weight", init)?;
        let bias = vb.get_with_hints(outputs, "bias", init)?;
        Ok(Self { weight, bias })
    }

    /// (rows, inputs) → (rows, outputs)
    pub(in crate::model) fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        cpu_ops::linear(x, &self.weight, &self.bias, activation)
    }

    /// Joins several layers over the same inputs into one; `None` during training.
    pub(in crate::model) fn side_by_side(layers: &[&Self]) -> Result<Option<Self>> {
        if layers.iter().any(|layer| layer.weight.track_op()) {
            return Ok(None);
        }
        let cat =
            |pick: fn(&Self) -> &Tensor, axis| Tensor::cat(&layers.iter().map(|l| pick(l)).collect::<Vec<_>>(), axis);
        Ok(Some(Self { weight: cat(|layer| &layer.weight, 1)?.contiguous()?, bias: cat(|layer| &layer.bias, 0)? }))
    }
}

/// A sequence of linear layers, starting from `inputs`.
pub(in crate::model) fn layers(inputs: usize, widths: &[usize], vb: VarBuilder) -> Result<Vec<Linear>> {
    let mut from = inputs;
    let mut built = Vec::with_capacity(widths.len());
    for (index, width) in widths.iter().enumerate() {
        built.push(Linear::new(from, *width, vb.pp(index))?);
        from = *width;
    }
    Ok(built)
}

/// The features and, for each feature, its position in each of its quantile bins, from −½ to ½.
pub(in crate::model) struct PiecewiseLinear {
    /// Lower edges of the bins, and the inverse of their widths (0 for an empty bin): (N, bins).
    pub(in crate::model) edges: Tensor,
    pub(in crate::model) slopes: Tensor,
}

impl PiecewiseLinear {
    pub(in crate::model) fn new(features: usize, bins: usize, vb: VarBuilder) -> Result<Self> {
        let get = |name| vb.get_with_hints((features, bins), name, Init::Const(0.0));
        Ok(Self { edges: get(EDGES)?, slopes: get(SLOPES)? })
    }

    /// (B, N) → (B, N + N · bins)
    pub(in crate::model) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let ramps = x.unsqueeze(2)?.broadcast_sub(&self.edges)?.broadcast_mul(&self.slopes)?;
        let ramps = (ramps.clamp(0f32, 1f32)? - 0.5)?.flatten_from(1)?;
        Tensor::cat(&[x, &ramps], 1)
    }
}

/// Names of the encoding's buffers. They are computed from the training rows, not trained.
const EDGES: &str = "running_edges";
const SLOPES: &str = "running_slopes";

/// The encoding's buffers with their full names, from the sorted bin edges of each feature (one more edge than bins).
///
/// # Errors
/// The tensor library failed.
pub fn encoding_buffers(edges: &[Vec<f32>], device: &Device) -> Result<[(String, Tensor); 2]> {
    let bins = edges.first().map_or(0, Vec::len).saturating_sub(1);
    let lower: Vec<f32> = edges.iter().flat_map(|edges| edges[..bins].iter().copied()).collect();
    let slope = |pair: &[f32]| if pair[1] > pair[0] { 1.0 / (pair[1] - pair[0]) } else { 0.0 };
    let slopes: Vec<f32> = edges.iter().flat_map(|edges| edges.windows(2).map(slope)).collect();
    let tensor = |values| Tensor::from_vec(values, (edges.len(), bins), device);
    Ok([(format!("encoding.{EDGES}"), tensor(lower)?), (format!("encoding.{SLOPES}"), tensor(slopes)?)])
}

/// Layer norm over the features.
pub(in crate::model) struct LayerNorm {
    pub(in crate::model) weight: Tensor,
    pub(in crate::model) bias: Tensor,
}

impl LayerNorm {
    pub(in crate::model) fn new(width: usize, vb: VarBuilder) -> Result<Self> {
        let weight = vb.get_with_hints(width, "weight", Init::Const(1.0))?;
        let bias = vb.get_with_hints(width, "bias", Init::Const(0.0))?;
        Ok(Self { weight, bias })
    }

    pub(in crate::model) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        cpu_ops::layer_norm(x, &self.weight, &self.bias)
    }
}
