//! The sizes of a network, as chosen in a recipe and recorded in a manifest. They come from files, so they are checked
//! before any tensor is created.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::featurize::PIXELS;

/// What the samples of a model attend to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttentionMode {
    /// The reference cohort of the bundle and the sample itself.
    Reference,
    /// Only the sample itself, as in the authors' published code.
    #[serde(rename = "self")]
    Itself,
    /// All samples of the batch, exactly as in the paper's text. Answers depend on the batch.
    #[serde(rename = "cohort")]
    Batch,
    /// The network's errors on references, measured samples stored in the bundle.
    Residual,
    /// No attention layers.
    None,
}

impl AttentionMode {
    /// Whether the network has the paper's two attention layers over codes of samples.
    pub(in crate::model) fn of_codes(self) -> bool {
        matches!(self, Self::Reference | Self::Itself | Self::Batch)
    }
}

/// The activation function between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// None.
    Identity,
    /// max(0, x)
    Relu,
    /// x·Φ(x), in its tanh form.
    Gelu,
    /// x·σ(x): similar to GELU, but much cheaper on a CPU.
    Silu,
}

/// Position of the layer norm in an attention block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// x + attention(norm(x))
    Pre,
    /// norm(x + attention(x)), as in the paper.
    Post,
}

/// The image channel: up to four convolutions, then one linear layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageChannel {
    /// Output channels of the convolutions, which have kernels 3, 3, 3, 2 and strides 3, 1, 1, 1. With fewer entries
    /// only the first convolutions are used.
    pub channels: Vec<usize>,
    /// The activation after each convolution.
    pub activation: Activation,
    /// Width of the final linear layer.
    pub width: usize,
    /// Number of principal components of the image to use instead of convolutions (for comparison; the paper's Table
    /// 8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<usize>,
}

/// The shape of a network without its inputs and outputs: the `[network]` section of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// What samples attend to.
    pub attention: AttentionMode,
    /// Number of attention heads in each layer, at least 1; it must divide the widths that are attended over.
    pub heads: usize,
    /// Whether the layer norm stands before or after the attention.
    pub norm: Norm,
    /// The activation after linear layers.
    pub activation: Activation,
    /// The image channel; none if not given. It needs `[features.image]`.
    #[serde(default)]
    pub image: Option<ImageChannel>,
    /// Hides the feature row from the network (for comparison; the paper's Table 8).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub image_only: bool,
    /// Number of quantile bins of the piecewise-linear encoding of each feature, which is appended to the features; no
    /// encoding if not given.
    #[serde(default)]
    pub bins: Option<usize>,
    /// Width of a linear layer before the row's attention; none if not given.
    #[serde(default)]
    pub stem: Option<usize>,
    /// Widths of the linear layers after the row's attention.
    pub row: Vec<usize>,
    /// Batch normalisation of the fused features.
    #[serde(default)]
    pub batch_norm: bool,
    /// Widths of the linear layers between the fused features and the outputs.
    pub head: Vec<usize>,
    /// Dropout probability after each activation in training, at least 0 and below 1.
    #[serde(default)]
    pub dropout: f64,
}

impl Architecture {
    /// `MCVN-paper`: the network of section 4.1, used with one output (one net per target). The paper prints L(6,2) for
    /// the end of the image channel; only L(6,4) fits the A(12,2) that follows.
    pub fn paper(attention: AttentionMode) -> Self {
        Self {
            attention,
            heads: 2,
            norm: Norm::Post,
            activation: Activation::Relu,
            image: Some(ImageChannel {
                channels: vec![3, 8, 4, 1],
                activation: Activation::Identity,
                width: 4,
                components: None,
            }),
            image_only: false,
            bins: None,
            stem: None,
            row: vec![8],
            batch_norm: true,
            head: vec![8, 4],
            dropout: 0.0,
        }
    }
}

/// A network: its inputs, outputs and shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McvnConfig {
    /// N, the width of the feature row.
    pub row_features: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// The shape.
    pub architecture: Architecture,
}

/// Why a configuration is not a valid network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("network: {0}")]
pub struct ConfigError(String);

impl McvnConfig {
    /// Refuses sizes that are impossible or that only a damaged file would contain.
    ///
    /// # Errors
    /// [`ConfigError`] names the first invalid size.
    pub fn check(&self) -> std::result::Result<(), ConfigError> {
        const LARGEST: usize = 65_536;
        // In training, each layer takes a stack frame in the backward pass.
        const MOST_LAYERS: usize = 64;
        let shape = &self.architecture;
        let image = shape.image.iter().flat_map(|image| image.channels.iter().copied().chain([image.width]));
        let convolutions = |image: &ImageChannel| if image.components.is_some() { 0..=0 } else { 0..=4 };
        if shape.image.as_ref().is_some_and(|image| !convolutions(image).contains(&image.channels.len())) {
            return Err(ConfigError("an image channel has one to four convolutions, or components".to_owned()));
        }
        if shape.image.as_ref().and_then(|image| image.components).is_some_and(|components| components > PIXELS) {
            return Err(ConfigError(format!("an image of {PIXELS} pixels has no more components than that")));
        }
        let layers = shape.row.len() + shape.head.len();
        if layers > MOST_LAYERS {
            return Err(ConfigError(format!("{layers} layers are more than {MOST_LAYERS}")));
        }
        let sizes = [self.row_features, self.outputs, shape.heads].into_iter().chain(shape.bins).chain(image);
        let mut sizes = sizes.chain(shape.stem).chain(shape.row.iter().copied()).chain(shape.head.iter().copied());
        if let Some(size) = sizes.find(|size| !(1..=LARGEST).contains(size)) {
            return Err(ConfigError(format!("a size of {size} is not within 1 to {LARGEST}")));
        }
        let widths = [self.attended_width(), self.fused_width()];
        let attends = shape.attention.of_codes();
        if let Some(width) = widths.into_iter().find(|width| attends && width % shape.heads != 0) {
            return Err(ConfigError(format!("{} heads do not divide a width of {width}", shape.heads)));
        }
        if !(0.0..1.0).contains(&shape.dropout) {
            return Err(ConfigError(format!("a dropout of {} is not within 0 to 1", shape.dropout)));
        }
        Ok(())
    }

    /// Width of the features with their encoding.
    pub(in crate::model) fn encoded_width(&self) -> usize {
        self.row_features * (1 + self.architecture.bins.unwrap_or(0))
    }

    /// Width at the row's attention: that of the stem, or of the features, padded with zero columns to a multiple of
    /// the heads.
    pub(in crate::model) fn attended_width(&self) -> usize {
        self.architecture.stem.unwrap_or_else(|| self.encoded_width().next_multiple_of(self.architecture.heads))
    }

    pub(in crate::model) fn fused_width(&self) -> usize {
        let image = self.architecture.image.as_ref().map_or(0, |image| image.width);
        image + self.architecture.row.last().copied().unwrap_or_else(|| self.attended_width())
    }
}
