//! Multi-head self-attention over samples (the paper's Eqs. 4 and 5), and whom a sample attends to.
//!
//! Its own because this is where the paper needs a decision. Attending to whatever shares the batch makes
//! an answer depend on other people's requests; attending to a cohort that belongs to the bundle gives
//! every pass several samples to compare with, and the same answer alone, in any batch, at any load.

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::config::Activation;
use super::fused;
use super::layers::Linear;

/// Whom the samples of a model attend to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionMode {
    /// The reference cohort of the bundle, plus the sample itself.
    Reference,
    /// The sample itself only, as in the authors' published code.
    #[serde(rename = "self")]
    Itself,
    /// All samples of the batch: the paper's text to the letter. Answers depend on the batch.
    Cohort,
    /// Measured samples of the bundle, by what the network got wrong on them: see the page of `residual`.
    Residual,
    /// Nobody: the network has no attention layers.
    None,
}

impl AttentionMode {
    /// Whether the network has the paper's two attention layers, over the codes of samples.
    pub(super) fn of_codes(self) -> bool {
        matches!(self, Self::Reference | Self::Itself | Self::Cohort)
    }
}

/// Projected keys and values of several samples for one attention layer.
#[derive(Clone, Debug)]
pub struct KeysValues {
    /// (heads, head width, samples)
    pub keys: Tensor,
    /// (heads, samples, head width)
    pub values: Tensor,
}

impl KeysValues {
    /// From keys and values as (heads, samples, head width). Keys are kept transposed and contiguous, so that
    /// scores, too, do not depend on the number of rows.
    fn new(keys: &Tensor, values: &Tensor) -> Result<Self> {
        Ok(Self { keys: keys.t()?.contiguous()?, values: values.contiguous()? })
    }

    /// The same numbers, cut off from the pass that made them.
    pub(super) fn detach(&self) -> Self {
        Self { keys: self.keys.detach(), values: self.values.detach() }
    }
}

/// What a reference cohort leaves in a bundle: keys and values for both attention layers, no raw rows.
#[derive(Clone, Debug)]
pub struct Cohort {
    /// For the attention over the original features.
    pub row: KeysValues,
    /// For the attention over the fused features.
    pub fusion: KeysValues,
}

/// What the rows of one pass attend to, in one layer.
pub(super) enum Memory<'a> {
    /// Each row to itself alone.
    Itself,
    /// Each row to all rows of the pass.
    Batch,
    /// Each row to the last few rows of the pass (the cohort, while training) and to itself.
    LastRows(usize),
    /// Each row to stored keys and values and to itself.
    Stored(&'a KeysValues),
}

/// One multi-head attention layer of constant width.
pub(super) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    /// Query, key and value as one layer, for serving.
    joined: Option<Linear>,
    heads: usize,
}

impl Attention {
    pub(super) fn new(width: usize, heads: usize, vb: VarBuilder) -> Result<Self> {
        let layer = |name| Linear::new(width, width, vb.pp(name));
        let (query, key, value) = (layer("query")?, layer("key")?, layer("value")?);
        let joined = Linear::side_by_side(&[&query, &key, &value])?;
        Ok(Self { query, key, value, output: layer("output")?, joined, heads })
    }

    /// x: (rows, width) → (rows, width), and what the rows attended to where that was the last of them.
    pub(super) fn forward(&self, x: &Tensor, memory: &Memory) -> Result<(Tensor, Option<KeysValues>)> {
        let (rows, width) = x.dims2()?;
        if let (Some(joined), Memory::Stored(stored)) = (&self.joined, memory) {
            let qkv = joined.forward(x, Activation::Identity)?;
            if let Some(attended) = fused::attend(&qkv, &stored.keys, &stored.values)? {
                return Ok((self.output.forward(&attended, Activation::Identity)?, None));
            }
        }
        let (keys, values) = (
            self.split(&self.key.forward(x, Activation::Identity)?)?,
            self.split(&self.value.forward(x, Activation::Identity)?)?,
        );
        let mut kept = None;
        let mixed = match memory {
            Memory::Itself => values, // the softmax over one key is 1
            Memory::Batch => self.over_all(x, &KeysValues::new(&keys, &values)?)?,
            Memory::Stored(stored) => self.over_others_and_itself(x, &keys, &values, stored)?,
            Memory::LastRows(count) => {
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
        fused::softmax(&scores)?.matmul(&all.values)
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
        let weights = fused::softmax(&Tensor::cat(&[&to_others, &to_itself], 2)?)?;
        let of_others = weights.narrow(2, 0, count)?.contiguous()?.matmul(&others.values)?;
        let of_itself = values.broadcast_mul(&weights.narrow(2, count, 1)?)?;
        of_others + of_itself
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fused::tests::{assert_close, followed, tensor};
    use crate::model::init::SeededParameters;
    use candle_core::{DType, Device};

    #[test]
    fn attending_at_once_is_what_plain_operations_give() {
        let parameters = SeededParameters::new(5);
        let draw = VarBuilder::from_backend(Box::new(parameters.clone()), DType::F32, Device::Cpu);
        Attention::new(8, 2, draw).unwrap();
        let tensors = parameters.variables().into_iter().map(|(name, v)| (name, v.as_detached_tensor())).collect();
        let serving = Attention::new(8, 2, VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)).unwrap();
        let stored = KeysValues { keys: tensor(&[2, 4, 5]), values: tensor(&[2, 5, 4]) };
        let x = tensor(&[3, 8]);
        let (fused, _) = serving.forward(&x, &Memory::Stored(&stored)).unwrap();
        let (plain, _) = serving.forward(&followed(&x), &Memory::Stored(&stored)).unwrap();
        assert_close(&fused, &plain);
    }
}
