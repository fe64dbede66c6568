//! The Materials Composition Visualization Network (Yu, Wu, Qian 2022, Fig. 4 and Eq. 1), top to bottom.
//!
//! ```text
//! image (24 × 21) → C → C → C → C → linear ──────────────────────┐
//!                                                                ⊕ → attention → [BN] → linear … → outputs
//! row (N features) → [PLE] → [linear] → attention → linear … ────┘
//! ```
//! C are convolutions without padding. The first has stride 3, so each step covers one 3 × 3 block of pixels (Eq. 2).
//! Both attentions are over *samples*: see [`super::attention`]. The same constructor is used for training and serving.
//! [`Architecture::paper`](crate::model::Architecture::paper) is the network of the paper's section 4.1; other sizes,
//! activations and norms are configuration (see `spec::network`).
//!
//! The shipped form differs from the paper's. The list gives the effect of each difference on mean R², over ten random
//! and ten grouped splits of steel-fatigue, then of steel-tensile (`mcvn evaluate --ablation`; docs/accuracy.md has the
//! errors):
//! - One convolution instead of four; each step of its kernel covers the pixels of one property: +.001 and +.003, +.001
//!   and .000.
//! - One attention instead of two. It comes after the fusion and is over the network's *errors* on measured samples
//!   instead of their codes (see [`super::residual`]). Compared with codes of a stored cohort: +.001 and −.002, +.008
//!   and +.006. Compared with codes of the batch: +.007 and +.009, +.021 and +.027, and answers do not depend on the
//!   batch. Compared with no attention there is no gain; it is used because it tells which measured alloys influenced
//!   an answer.
//! - A teacher in training: −.001 and +.004, +.005 and +.031.
//! - Dropout and weight decay instead of batch normalisation: −.002 and .000, −.002 and −.003. This was chosen without
//!   test rows, on which it turned out worse.
//! - PLE, a piecewise-linear encoding of the features (Gorishniy et al. 2022). It was better on inner splits of the
//!   training rows.

use candle_core::{Result, Tensor};
use candle_nn::{BatchNorm, ModuleT, VarBuilder};

use crate::model::nn::attention::{Attend, AttentionBlock, KeysValues, ReferenceKv};
use crate::model::nn::image::ImageLayers;
use crate::model::nn::init::Dropout;
use crate::model::nn::layers::{Linear, PiecewiseLinear, layers};
use crate::model::nn::residual::{AttentionOutput, References, ResidualAttention};
use crate::model::spec::network::{Activation, AttentionMode, McvnConfig};

/// One pass: what the rows attend to, and whether this is training.
pub struct Pass<'a> {
    /// What the rows attend to.
    pub attend: Attend<'a>,
    /// Dropout masks in training, `None` when serving.
    pub training: Option<&'a mut Dropout>,
}

impl Pass<'_> {
    fn dropout(&mut self, x: Tensor) -> Result<Tensor> {
        match &mut self.training {
            Some(dropout) => dropout.apply(&x),
            None => Ok(x),
        }
    }
}

/// The network.
pub struct Mcvn {
    config: McvnConfig,
    pub(in crate::model) image: Option<ImageLayers>,
    pub(in crate::model) encoding: Option<PiecewiseLinear>,
    pub(in crate::model) stem: Option<Linear>,
    row_attention: Option<AttentionBlock>,
    pub(in crate::model) row: Vec<Linear>,
    fusion_attention: Option<AttentionBlock>,
    batch_norm: Option<BatchNorm>,
    pub(in crate::model) head: Vec<Linear>,
    pub(in crate::model) output: Linear,
    pub(in crate::model) residual: Option<ResidualAttention>,
}

impl Mcvn {
    /// Builds the network with parameters from `vb` (initial values, or loaded).
    ///
    /// # Errors
    /// The configuration fails [`McvnConfig::check`], or parameters are missing or have another shape.
    pub fn new(config: McvnConfig, vb: VarBuilder) -> Result<Self> {
        config.check().map_err(candle_core::Error::wrap)?;
        let (attended, fused) = (config.attended_width(), config.fused_width());
        let shape = &config.architecture;
        let image = shape.image.as_ref().map(|image| ImageLayers::new(image, vb.pp("image"))).transpose()?;
        let encoding = shape.bins.map(|bins| PiecewiseLinear::new(config.row_features, bins, vb.pp("encoding")));
        let encoding = encoding.transpose()?;
        let stem = shape.stem.map(|width| Linear::new(config.encoded_width(), width, vb.pp("stem"))).transpose()?;
        let attention = |width, name| {
            shape.attention.of_codes().then(|| AttentionBlock::new(width, shape, vb.pp(name))).transpose()
        };
        let row_attention = attention(attended, "row_attention")?;
        let row = layers(attended, &shape.row, vb.pp("row"))?;
        let fusion_attention = attention(fused, "fusion_attention")?;
        let batch_norm =
            shape.batch_norm.then(|| candle_nn::batch_norm(fused, 1e-5, vb.pp("batch_norm"))).transpose()?;
        let head = layers(fused, &shape.head, vb.pp("head"))?;
        let output = Linear::new(shape.head.last().copied().unwrap_or(fused), config.outputs, vb.pp("output"))?;
        let residual = (shape.attention == AttentionMode::Residual)
            .then(|| ResidualAttention::new(fused, shape.heads, config.outputs, vb.pp("residual")));
        let residual = residual.transpose()?;
        Ok(Self {
            config,
            image,
            encoding,
            stem,
            row_attention,
            row,
            fusion_attention,
            batch_norm,
            head,
            output,
            residual,
        })
    }

    /// The configuration of the network.
    pub fn config(&self) -> &McvnConfig {
        &self.config
    }

    /// row: (B, N), image: (B, 504), both scaled → (B, outputs): standardised targets, or logits. With
    /// [`Attend::Measured`], only the rows before the measured ones have outputs.
    ///
    /// # Errors
    /// Inputs have another shape, or the tensor library failed.
    pub fn forward(&self, row: &Tensor, image: Option<&Tensor>, pass: &mut Pass) -> Result<Tensor> {
        Ok(self.answer(row, image, pass)?.0)
    }

    /// Same as [`Mcvn::forward`]; with stored references, also returns the attention to them.
    ///
    /// # Errors
    /// Same as [`Mcvn::forward`].
    pub fn answer(
        &self,
        row: &Tensor,
        image: Option<&Tensor>,
        pass: &mut Pass,
    ) -> Result<(Tensor, Option<AttentionOutput>)> {
        let (code, _) = self.code(row, image, pass)?;
        let own = self.head(&code, pass)?;
        match (&self.residual, &pass.attend) {
            (Some(residual), Attend::Measured(measured)) => Ok((residual.train(&code, &own, measured)?, None)),
            (Some(residual), Attend::References(references)) => {
                let (corrected, attention) = residual.serve(&code, &own, references)?;
                Ok((corrected, Some(attention)))
            }
            _ => Ok((own, None)),
        }
    }

    /// Passes the cohort's rows through the network and returns their keys and values for both layers. These rows
    /// attend to the cohort and themselves, as in training.
    ///
    /// # Errors
    /// Same as [`Mcvn::forward`].
    pub fn condense(&self, row: &Tensor, image: Option<&Tensor>) -> Result<ReferenceKv> {
        let mut pass = Pass { attend: Attend::LastRows(row.dim(0)?), training: None };
        match self.code(row, image, &mut pass)?.1 {
            (Some(row), Some(fusion)) => Ok(ReferenceKv { row: row.detach(), fusion: fusion.detach() }),
            _ => candle_core::bail!("the attention kept no keys"),
        }
    }

    /// Passes measured rows through the network and returns what residual attention needs: their keys and the network's
    /// errors. `targets`: standardised targets or class indicators. `known`: 1 where measured (`None` for everywhere).
    /// Both are (B, outputs).
    ///
    /// # Errors
    /// Same as [`Mcvn::forward`].
    pub fn refer(
        &self,
        row: &Tensor,
        image: Option<&Tensor>,
        targets: &Tensor,
        known: Option<&Tensor>,
        classes: bool,
    ) -> Result<References> {
        let Some(residual) = &self.residual else { candle_core::bail!("the network attends to no residuals") };
        let mut pass = Pass { attend: Attend::Itself, training: None };
        let (code, _) = self.code(row, image, &mut pass)?;
        residual.refer(&code, &self.head(&code, &mut pass)?, targets, known, classes)
    }

    /// (B, fused): the inputs of the head.
    fn code(&self, row: &Tensor, image: Option<&Tensor>, pass: &mut Pass) -> Result<(Tensor, Kept)> {
        let shape = &self.config.architecture;
        let activation = shape.activation;
        let row = if shape.image_only { row.zeros_like()? } else { row.clone() };
        let mut x = match &self.encoding {
            Some(encoding) => encoding.forward(&row)?, // (B, N + N · bins)
            None => row,
        };
        x = match &self.stem {
            Some(stem) => pass.dropout(stem.forward(&x, activation)?)?, // (B, stem)
            None => x.pad_with_zeros(1, 0, self.config.attended_width() - self.config.encoded_width())?,
        };
        let mut row_keys = None;
        if let Some(attention) = &self.row_attention {
            (x, row_keys) = attention.forward(&x, &pass.attend, |cohort| &cohort.row)?;
        }
        for layer in &self.row {
            x = pass.dropout(layer.forward(&x, activation)?)?; // (B, row)
        }
        if let (Some(layers), Some(image)) = (&self.image, image) {
            let channel = shape.image.as_ref().map_or(Activation::Identity, |image| image.activation);
            let seen = pass.dropout(layers.end.forward(&layers.read(image, channel)?, activation)?)?; // (B, width)
            x = Tensor::cat(&[&seen, &x], 1)?; // (B, fused)
        }
        let mut fusion_keys = None;
        if let Some(attention) = &self.fusion_attention {
            (x, fusion_keys) = attention.forward(&x, &pass.attend, |cohort| &cohort.fusion)?;
        }
        if let Some(batch_norm) = &self.batch_norm {
            x = batch_norm.forward_t(&x, pass.training.is_some())?;
        }
        Ok((x, (row_keys, fusion_keys)))
    }

    /// (B, fused) → (B, outputs)
    fn head(&self, code: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let mut x = code.clone();
        for layer in &self.head {
            x = pass.dropout(layer.forward(&x, self.config.architecture.activation)?)?;
        }
        self.output.forward(&x, Activation::Identity)
    }
}

/// The keys and values of each attention layer, if the last rows of the pass were attended to.
type Kept = (Option<KeysValues>, Option<KeysValues>);
