//! Residual attention: the network's output is corrected by its errors on the most similar measured samples.
//!
//! ```text
//! answer(x) = g(x) + Σⱼ aⱼ(x) · (yⱼ − g(xⱼ)),   aⱼ = softmax over j and a null key of −τ ‖q(x) − q(xⱼ)‖²
//! ```
//! g is the network without attention, q a linear map of its normalised fused code, and xⱼ are the references: training
//! rows stored in the bundle. This is the attention over samples that ships. (The paper's Eqs. 4 and 5 mix codes; this
//! mixes residuals.) An answer does not depend on the batch, and it can name the measured samples that influenced it.
//! The null key has a learned logit. It starts high, so that references only count if one is near.

use candle_core::{D, Result, Tensor};
use candle_nn::{Init, VarBuilder, ops};

use crate::model::nn::cpu_ops;
use crate::model::nn::layers::LayerNorm;
use crate::model::spec::network::McvnConfig;

/// Total width of the queries of all heads.
const WIDTH: usize = 16;
/// Initial logit of the null key. (With −3, references counted everywhere, which cost .002 to .005 of R².)
const NULL_LOGIT: f64 = 3.0;
/// Initial sharpness τ, times the width of a head.
const SHARPNESS: f64 = 8.0;
/// Added to the logit of a reference that a row must not see, so that its weight is 0.
pub const HIDDEN: f32 = -1e4;
/// Number of references that one network reports for an answer: those with the largest weights.
pub(in crate::model) const NAMED_REFERENCES: usize = 4;
/// References with a logit below this are ignored. Relative to the null key at 0, thousands of them would not change
/// the last digit of an answer.
pub(in crate::model) const LEAST_LOGIT: f32 = -21.0;

/// A reference and its weight in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReferenceAttention {
    /// Its index in [`Manifest::references`](crate::model::Manifest::references).
    pub place: u32,
    /// Its attention weight, from 0 to 1; together with that of the null key all weights sum to 1.
    pub weight: f32,
}

/// The attention of rows to references.
pub struct AttentionOutput {
    /// Weight of each reference: (rows, references).
    weights: Tensor,
    /// Distance to the nearest reference, τ ‖q − k‖², averaged over the heads: (rows).
    pub(in crate::model) distance: Tensor,
}

impl AttentionOutput {
    /// The references with the largest weights, in decreasing order: [`NAMED_REFERENCES`] per row. `places`: index of
    /// each reference in the manifest.
    pub(in crate::model) fn largest(&self, places: &[u32]) -> Result<Vec<ReferenceAttention>> {
        let (mut at, mut weights) = (Vec::new(), Vec::new());
        let mut left = self.weights.clone();
        for _ in 0..NAMED_REFERENCES {
            let index = left.argmax_keepdim(D::Minus1)?;
            let weight = left.gather(&index, 1)?;
            left = left.scatter_add(&index, &weight.neg()?, 1)?;
            at.push(index);
            weights.push(weight);
        }
        let at: Vec<u32> = Tensor::cat(&at, 1)?.flatten_all()?.to_vec1()?;
        let weights: Vec<f32> = Tensor::cat(&weights, 1)?.flatten_all()?.to_vec1()?;
        Ok(at
            .iter()
            .zip(weights)
            .map(|(at, weight)| ReferenceAttention { place: places[*at as usize], weight })
            .collect())
    }
}

/// Measured rows at the end of a pass, for training.
pub struct Measured<'a> {
    /// Number of rows.
    pub count: usize,
    /// Standardised targets or class indicators: (count, outputs); 0 where not measured.
    pub targets: &'a Tensor,
    /// 1 where measured, else 0: (count, outputs); `None` if all are measured.
    pub known: Option<&'a Tensor>,
    /// Whether the outputs are class logits.
    pub classes: bool,
    /// [`HIDDEN`] where a row must not see a measured row, else 0: (other rows, count).
    pub hidden: &'a Tensor,
}

/// What a bundle stores of the references.
#[derive(Clone, Debug)]
pub struct References {
    /// (heads, head width, references)
    pub keys: Tensor,
    /// The network's error on each reference: (references, outputs).
    pub residuals: Tensor,
}

impl References {
    /// Whether the shapes fit a network of this configuration.
    pub(in crate::model) fn fit(&self, config: &McvnConfig) -> bool {
        let heads = config.architecture.heads;
        let Ok((keys, residuals)) = self.keys.dims3().and_then(|keys| Ok((keys, self.residuals.dims2()?))) else {
            return false;
        };
        keys == (heads, WIDTH.div_ceil(heads), residuals.0) && residuals.1 == config.outputs
    }
}

/// The layer of residual attention.
pub(in crate::model) struct ResidualAttention {
    pub(in crate::model) norm: LayerNorm,
    /// (fused, width)
    pub(in crate::model) query: Tensor,
    /// ln τ of each head: (heads)
    pub(in crate::model) sharpness: Tensor,
    /// Logit of the null key for each head: (heads)
    pub(in crate::model) null_logit: Tensor,
    /// Logarithm of the factor of the residuals: (outputs). The factor is 1 for targets; class logits have another
    /// scale.
    pub(in crate::model) gain: Tensor,
    heads: usize,
}

impl ResidualAttention {
    pub(in crate::model) fn new(fused: usize, heads: usize, outputs: usize, vb: VarBuilder) -> Result<Self> {
        let bound = (3.0 / fused as f64).sqrt();
        let width = WIDTH.next_multiple_of(heads);
        let constant = |name, value: f64, count: usize| vb.get_with_hints(count, name, Init::Const(value));
        Ok(Self {
            norm: LayerNorm::new(fused, vb.pp("norm"))?,
            query: vb.get_with_hints((fused, width), "query", Init::Uniform { lo: -bound, up: bound })?,
            sharpness: constant("sharpness", (SHARPNESS / (width / heads) as f64).ln(), heads)?,
            // The tensor's name in weights files.
            null_logit: constant("nobody", NULL_LOGIT, heads)?,
            gain: constant("gain", 0.0, outputs)?,
            heads,
        })
    }

    /// Training: outputs for the first rows of a pass. The last rows are the measured ones.
    pub(in crate::model) fn train(&self, code: &Tensor, own: &Tensor, measured: &Measured) -> Result<Tensor> {
        let (rows, asked) = (code.dim(0)?, measured.hidden.dim(0)?);
        let first = rows - measured.count;
        let queries = self.queries(code)?; // (heads, rows, deep)
        let keys = queries.narrow(1, first, measured.count)?.transpose(1, 2)?.contiguous()?;
        let given = own.narrow(0, first, measured.count)?.detach();
        let residuals = residuals(&given, measured.targets, measured.known, measured.classes)?;
        let logits = self.logits(&queries.narrow(1, 0, asked)?.contiguous()?, &keys)?;
        let exponentials = cpu_ops::shifted_exp(&logits, measured.hidden)?;
        Ok(self.corrected(&own.narrow(0, 0, asked)?, &exponentials, &residuals)?.0)
    }

    /// Serving: outputs for rows, with their attention to the references.
    pub(in crate::model) fn serve(
        &self,
        code: &Tensor,
        own: &Tensor,
        references: &References,
    ) -> Result<(Tensor, AttentionOutput)> {
        let logits = self.logits(&self.queries(code)?, &references.keys)?;
        let exponentials = logits.exp()?;
        let (answer, sum) = self.corrected(own, &exponentials, &references.residuals)?;
        let weights = exponentials.broadcast_mul(&(sum + 1.0)?.recip()?)?.mean(0)?;
        let nearest = logits.max(D::Minus1)?.broadcast_add(&self.null_logit.unsqueeze(1)?)?.neg()?;
        Ok((answer, AttentionOutput { weights, distance: nearest.mean(0)?.relu()? }))
    }

    /// Keys and residuals of measured rows.
    pub(in crate::model) fn refer(
        &self,
        code: &Tensor,
        own: &Tensor,
        targets: &Tensor,
        known: Option<&Tensor>,
        classes: bool,
    ) -> Result<References> {
        Ok(References {
            keys: self.queries(code)?.transpose(1, 2)?.contiguous()?.detach(),
            residuals: residuals(own, targets, known, classes)?.contiguous()?.detach(),
        })
    }

    /// (rows, fused) → (heads, rows, head width)
    fn queries(&self, code: &Tensor) -> Result<Tensor> {
        let queries = self.norm.forward(code)?.matmul(&self.query)?;
        let (rows, width) = queries.dims2()?;
        queries.reshape((rows, self.heads, width / self.heads))?.transpose(0, 1)?.contiguous()
    }

    /// The logit of each reference for each row, relative to the null key: (heads, rows, references). This is the
    /// largest tensor of the network, so it is computed as one product:
    ///
    /// ```text
    /// −τ (|q|² + |k|² − 2 qk) − null_logit = [2τ q, −τ |q|² − null_logit, −τ] · [k, 1, |k|²]
    /// ```
    fn logits(&self, queries: &Tensor, keys: &Tensor) -> Result<Tensor> {
        let (heads, rows, _) = queries.dims3()?;
        let by_head = |values: &Tensor| values.reshape((heads, 1, 1));
        let sharpness = by_head(&self.sharpness.exp()?)?;
        let own = queries.sqr()?.sum_keepdim(D::Minus1)?.broadcast_mul(&sharpness)?;
        let own = own.broadcast_add(&by_head(&self.null_logit)?)?.neg()?;
        let scaled = queries.broadcast_mul(&(&sharpness * 2.0)?)?;
        let queries = Tensor::cat(&[&scaled, &own, &sharpness.neg()?.broadcast_as((heads, rows, 1))?], 2)?;
        let squares = keys.sqr()?.sum_keepdim(1)?;
        queries.matmul(&Tensor::cat(&[keys, &squares.ones_like()?, &squares], 1)?)
    }

    /// The corrected outputs, and the sum of the exponentials: (heads, rows, 1).
    fn corrected(&self, own: &Tensor, exponentials: &Tensor, residuals: &Tensor) -> Result<(Tensor, Tensor)> {
        let (heads, (references, outputs)) = (exponentials.dim(0)?, residuals.dims2()?);
        let counted = Tensor::cat(&[residuals, &residuals.narrow(1, 0, 1)?.ones_like()?], 1)?;
        let sums = exponentials.matmul(&counted.broadcast_as((heads, references, outputs + 1))?.contiguous()?)?;
        let sum = sums.narrow(2, outputs, 1)?;
        let correction = sums.narrow(2, 0, outputs)?.broadcast_div(&(&sum + 1.0)?)?.mean(0)?;
        Ok(((own + correction.broadcast_mul(&self.gain.exp()?)?)?, sum))
    }
}

/// Measured value minus output; 0 where nothing was measured.
fn residuals(own: &Tensor, targets: &Tensor, known: Option<&Tensor>, classes: bool) -> Result<Tensor> {
    let own = if classes { ops::softmax(own, D::Minus1)? } else { own.clone() };
    let residuals = (targets - own)?;
    match known {
        Some(known) => residuals * known,
        None => Ok(residuals),
    }
}
