//! Multi-head self-attention over samples (the paper's Eqs. 4 and 5), and the choice of samples to attend to.
//!
//! If a sample attends to the other samples of its batch, its answer depends on other requests. If it attends to a
//! reference cohort stored in the bundle, every pass has several samples to compare with, and the answer is the same
//! alone, in any batch, at any load.

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;

use crate::model::nn::cpu_ops;
use crate::model::nn::layers::{LayerNorm, Linear};
use crate::model::nn::residual::{Measured, References};
use crate::model::spec::network::{Activation, Architecture, Norm};

/// Projected keys and values of samples for one attention layer.
#[derive(Clone, Debug)]
pub struct KeysValues {
    /// (heads, head width, samples)
    pub keys: Tensor,
    /// (heads, samples, head width)
    pub values: Tensor,
}

impl KeysValues {
    /// From keys and values of shape (heads, samples, head width). Keys are stored transposed and contiguous, so that
    /// scores do not depend on the number of rows.
    fn new(keys: &Tensor, values: &Tensor) -> Result<Self> {
        Ok(Self { keys: keys.t()?.contiguous()?, values: values.contiguous()? })
    }

    /// The same values without their gradient history.
    pub(in crate::model) fn detach(&self) -> Self {
        Self { keys: self.keys.detach(), values: self.values.detach() }
    }
}

/// What a bundle stores of a reference cohort: keys and values for both attention layers, no raw rows.
#[derive(Clone, Debug)]
pub struct ReferenceKv {
    /// For the attention over the row's features.
    pub row: KeysValues,
    /// For the attention over the fused features.
    pub fusion: KeysValues,
}

/// The samples that the rows of a pass attend to.
pub enum Attend<'a> {
    /// Each row attends to itself.
    Itself,
    /// Each row attends to all rows of the pass.
    Batch,
    /// Each row attends to the last rows of the pass and itself: training with a reference cohort.
    LastRows(usize),
    /// Each row attends to a stored cohort and itself: serving.
    Stored(&'a ReferenceKv),
    /// Rows attend to the network's errors on measured rows of the same pass: training of residual attention.
    Measured(Measured<'a>),
    /// Each row attends to the network's errors on stored references: serving of residual attention.
    References(&'a References),
}

/// Selects the keys and values of one attention layer from a cohort.
type OfLayer = fn(&ReferenceKv) -> &KeysValues;

/// A multi-head attention layer of constant width.
struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    /// Query, key and value as one layer, for serving.
    joined: Option<Linear>,
    heads: usize,
}

impl Attention {
    fn new(width: usize, heads: usize, vb: VarBuilder) -> Result<Self> {
        let layer = |name| Linear::new(width, width, vb.pp(name));
        let (query, key, value) = (layer("query")?, layer("key")?, layer("value")?);
        let joined = Linear::side_by_side(&[&query, &key, &value])?;
        Ok(Self { query, key, value, output: layer("output")?, joined, heads })
    }

    /// x: (rows, width) → (rows, width). Also returns the keys and values of the last rows, if these were attended to.
    /// `own` selects this layer's keys and values from the stored cohort.
    fn forward(&self, x: &Tensor, attend: &Attend, own: OfLayer) -> Result<(Tensor, Option<KeysValues>)> {
        let (rows, width) = x.dims2()?;
        if let (Some(joined), Attend::Stored(cohort)) = (&self.joined, attend) {
            let stored = own(cohort);
            let qkv = joined.forward(x, Activation::Identity)?;
            if let Some(attended) = cpu_ops::attend(&qkv, &stored.keys, &stored.values)? {
                return Ok((self.output.forward(&attended, Activation::Identity)?, None));
            }
        }
        let (keys, values) = (
            self.split(&self.key.forward(x, Activation::Identity)?)?,
            self.split(&self.value.forward(x, Activation::Identity)?)?,
        );
        let mut kept = None;
        let mixed = match attend {
            // The softmax over one key is 1.
            Attend::Itself | Attend::Measured(_) | Attend::References(_) => values,
            Attend::Batch => self.over_all(x, &KeysValues::new(&keys, &values)?)?,
            Attend::Stored(cohort) => self.over_others_and_itself(x, &keys, &values, own(cohort))?,
            Attend::LastRows(count) => {
                let last = |all: &Tensor| all.narrow(1, rows - count, *count);
                let cohort = kept.insert(KeysValues::new(&last(&keys)?, &last(&values)?)?);
                self.over_others_and_itself(x, &keys, &values, cohort)?
            }
        };
        let joined = mixed.transpose(0, 1)?.reshape((rows, width))?;
        Ok((self.output.forward(&joined, Activation::Identity)?, kept))
    }

    /// (rows, width) → (heads, rows, head width)
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        x.reshape((rows, self.heads, width / self.heads))?.transpose(0, 1)?.contiguous()
    }

    /// Queries, scaled by 1/√(head width): (heads, rows, head width)
    fn queries(&self, x: &Tensor) -> Result<Tensor> {
        let queries = self.split(&self.query.forward(x, Activation::Identity)?)?;
        let scale = 1.0 / (queries.dim(D::Minus1)? as f64).sqrt();
        queries * scale
    }

    fn over_all(&self, x: &Tensor, all: &KeysValues) -> Result<Tensor> {
        let scores = self.queries(x)?.matmul(&all.keys)?; // (heads, rows, rows)
        cpu_ops::softmax(&scores)?.matmul(&all.values)
    }

    fn over_others_and_itself(
        &self,
        x: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        others: &KeysValues,
    ) -> Result<Tensor> {
        let queries = self.queries(x)?;
        let count = others.keys.dim(2)?;
        let to_others = queries.matmul(&others.keys)?; // (heads, rows, others)
        let to_itself = (queries * keys)?.sum_keepdim(D::Minus1)?; // (heads, rows, 1)
        let weights = cpu_ops::softmax(&Tensor::cat(&[&to_others, &to_itself], 2)?)?;
        let of_others = weights.narrow(2, 0, count)?.contiguous()?.matmul(&others.values)?;
        let of_itself = values.broadcast_mul(&weights.narrow(2, count, 1)?)?;
        of_others + of_itself
    }
}

/// Attention with residual connection and layer norm.
pub(in crate::model) struct AttentionBlock {
    attention: Attention,
    norm: LayerNorm,
    place: Norm,
}

impl AttentionBlock {
    pub(in crate::model) fn new(width: usize, shape: &Architecture, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            attention: Attention::new(width, shape.heads, vb.clone())?,
            norm: LayerNorm::new(width, vb.pp("norm"))?,
            place: shape.norm,
        })
    }

    pub(in crate::model) fn forward(
        &self,
        x: &Tensor,
        attend: &Attend,
        own: OfLayer,
    ) -> Result<(Tensor, Option<KeysValues>)> {
        match self.place {
            Norm::Pre => {
                let (attended, keys) = self.attention.forward(&self.norm.forward(x)?, attend, own)?;
                Ok(((x + attended)?, keys))
            }
            Norm::Post => {
                let (attended, keys) = self.attention.forward(x, attend, own)?;
                Ok((self.norm.forward(&(x + attended)?)?, keys))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::nn::cpu_ops::samples::{assert_close, followed, tensor};
    use crate::model::nn::init::SeededParameters;
    use candle_core::{DType, Device};

    #[test]
    fn attending_at_once_is_what_plain_operations_give() {
        let parameters = SeededParameters::new(5);
        let draw = VarBuilder::from_backend(Box::new(parameters.clone()), DType::F32, Device::Cpu);
        Attention::new(8, 2, draw).unwrap();
        let tensors = parameters.variables().into_iter().map(|(name, v)| (name, v.as_detached_tensor())).collect();
        let serving = Attention::new(8, 2, VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)).unwrap();
        let stored = KeysValues { keys: tensor(&[2, 4, 5]), values: tensor(&[2, 5, 4]) };
        let cohort = ReferenceKv { row: stored.clone(), fusion: stored };
        let x = tensor(&[3, 8]);
        let (fused, _) = serving.forward(&x, &Attend::Stored(&cohort), |cohort| &cohort.row).unwrap();
        let (plain, _) = serving.forward(&followed(&x), &Attend::Stored(&cohort), |cohort| &cohort.row).unwrap();
        assert_close(&fused, &plain);
    }
}
