//! The Materials Composition Visualization Network (Yu, Wu, Qian 2022, Fig. 4 and Eq. 1), top to bottom.
//!
//! ```text
//! image (24 × 21) → C → C → C → C → linear ──────────────────────┐
//!                                                                ⊕ → attention → [BN] → linear … → outputs
//! row (N features) → [PLE] → [linear] → attention → linear … ────┘
//! ```
//! PLE is a piecewise-linear encoding of the features (Gorishniy et al. 2022). C are convolutions without padding, the first with stride 3, one 3 × 3 block of pixels per step (Eq. 2).
//! Both attentions are over *samples*: see [`super::attention`]. The same constructor trains and serves.
//! [`Architecture::paper`] is the network of the paper's section 4.1; other sizes, activations and norms are
//! configuration (see [`super::config`]).

use super::attention::{Attention, AttentionMode, Cohort, KeysValues, Memory};
use super::config::{Activation, Architecture, ImageChannel, McvnConfig, Norm};
use super::fused;
use super::init::Dropout;
use crate::featurize;
use candle_core::{Device, Result, Tensor};
use candle_nn::{BatchNorm, Init, ModuleT, VarBuilder};

/// Whom the rows of a pass attend to.
pub enum Attend<'a> {
    /// Each row to itself.
    Itself,
    /// Each row to all rows of the pass.
    Batch,
    /// Each row to the last rows of the pass and itself: training with a reference cohort.
    LastRows(usize),
    /// Each row to a stored cohort and itself: serving.
    Cohort(&'a Cohort),
}

/// One pass: whom to attend to, and whether this is training.
pub struct Pass<'a> {
    /// Whom the rows attend to.
    pub attend: Attend<'a>,
    /// Dropout masks while training, `None` while serving.
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
    image: Option<ImageLayers>,
    encoding: Option<PiecewiseLinear>,
    stem: Option<Linear>,
    row_attention: Option<AttentionBlock>,
    row: Vec<Linear>,
    fusion_attention: Option<AttentionBlock>,
    batch_norm: Option<BatchNorm>,
    head: Vec<Linear>,
    output: Linear,
}

impl Mcvn {
    /// Builds the network; its parameters come from `vb` (drawn, or loaded).
    ///
    /// # Errors
    /// A configuration that fails [`McvnConfig::check`], or parameters that are missing or of another shape.
    pub fn new(config: McvnConfig, vb: VarBuilder) -> Result<Self> {
        config.check().map_err(candle_core::Error::wrap)?;
        let (attended, fused) = (config.attended_width(), config.fused_width());
        let shape = &config.architecture;
        let image = shape.image.as_ref().map(|image| ImageLayers::new(image, vb.pp("image"))).transpose()?;
        let encoding = shape.bins.map(|bins| PiecewiseLinear::new(config.row_features, bins, vb.pp("encoding")));
        let encoding = encoding.transpose()?;
        let stem = shape.stem.map(|width| Linear::new(config.encoded_width(), width, vb.pp("stem"))).transpose()?;
        let attention = |width, name| {
            let attends = shape.attention != AttentionMode::None;
            attends.then(|| AttentionBlock::new(width, shape, vb.pp(name))).transpose()
        };
        let row_attention = attention(attended, "row_attention")?;
        let row = layers(attended, &shape.row, vb.pp("row"))?;
        let fusion_attention = attention(fused, "fusion_attention")?;
        let batch_norm =
            shape.batch_norm.then(|| candle_nn::batch_norm(fused, 1e-5, vb.pp("batch_norm"))).transpose()?;
        let head = layers(fused, &shape.head, vb.pp("head"))?;
        let output = Linear::new(shape.head.last().copied().unwrap_or(fused), config.outputs, vb.pp("output"))?;
        Ok(Self { config, image, encoding, stem, row_attention, row, fusion_attention, batch_norm, head, output })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &McvnConfig {
        &self.config
    }

    /// row: (B, N), image: (B, 504), both scaled → (B, outputs): standardised targets, or logits.
    ///
    /// # Errors
    /// Inputs of another shape, or a failure of the tensor library.
    pub fn forward(&self, row: &Tensor, image: Option<&Tensor>, pass: &mut Pass) -> Result<Tensor> {
        Ok(self.forward_with_keys(row, image, pass)?.0)
    }

    /// Passes the cohort's rows through the network and keeps their keys and values for both layers. The
    /// cohort's rows attend to the cohort and themselves, as they did in training.
    ///
    /// # Errors
    /// As [`Mcvn::forward`].
    pub fn condense(&self, row: &Tensor, image: Option<&Tensor>) -> Result<Cohort> {
        let mut pass = Pass { attend: Attend::LastRows(row.dim(0)?), training: None };
        match self.forward_with_keys(row, image, &mut pass)?.1 {
            (Some(row), Some(fusion)) => Ok(Cohort { row: row.detach(), fusion: fusion.detach() }),
            _ => candle_core::bail!("the attention kept no keys"),
        }
    }

    fn forward_with_keys(&self, row: &Tensor, image: Option<&Tensor>, pass: &mut Pass) -> Result<(Tensor, Kept)> {
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
            (x, row_keys) = attention.forward(&x, &memory(&pass.attend, |cohort| &cohort.row))?;
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
            (x, fusion_keys) = attention.forward(&x, &memory(&pass.attend, |cohort| &cohort.fusion))?;
        }
        if let Some(batch_norm) = &self.batch_norm {
            x = batch_norm.forward_t(&x, pass.training.is_some())?;
        }
        for layer in &self.head {
            x = pass.dropout(layer.forward(&x, activation)?)?;
        }
        Ok((self.output.forward(&x, Activation::Identity)?, (row_keys, fusion_keys)))
    }
}

/// What each attention layer's rows attended to, where that was the last rows of the pass.
type Kept = (Option<KeysValues>, Option<KeysValues>);

fn memory<'a>(attend: &Attend<'a>, layer: fn(&Cohort) -> &KeysValues) -> Memory<'a> {
    match attend {
        Attend::Itself => Memory::Itself,
        Attend::Batch => Memory::Batch,
        Attend::LastRows(count) => Memory::LastRows(*count),
        Attend::Cohort(cohort) => Memory::Stored(layer(cohort)),
    }
}

/// A fully connected layer. The weights lie as (inputs, outputs): with a contiguous right-hand side each row
/// of candle's product is computed in the same order whatever the number of rows, so a row's result does not
/// depend on its batch, to the last bit. (With PyTorch's transposed layout it does.)
pub(super) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Weights and biases start uniform within ± 1/√inputs.
    pub(super) fn new(inputs: usize, outputs: usize, vb: VarBuilder) -> Result<Self> {
        let bound = 1.0 / (inputs as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        let weight = vb.get_with_hints((inputs, outputs), "weight", init)?;
        let bias = vb.get_with_hints(outputs, "bias", init)?;
        Ok(Self { weight, bias })
    }

    /// (rows, inputs) → (rows, outputs)
    pub(super) fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        fused::bias_activation(&x.matmul(&self.weight)?, &self.bias, activation)
    }

    /// Several layers over the same inputs as one; `None` while they are trained.
    pub(super) fn side_by_side(layers: &[&Self]) -> Result<Option<Self>> {
        if layers.iter().any(|layer| layer.weight.track_op()) {
            return Ok(None);
        }
        let cat =
            |pick: fn(&Self) -> &Tensor, axis| Tensor::cat(&layers.iter().map(|l| pick(l)).collect::<Vec<_>>(), axis);
        Ok(Some(Self { weight: cat(|layer| &layer.weight, 1)?.contiguous()?, bias: cat(|layer| &layer.bias, 0)? }))
    }
}

fn layers(inputs: usize, widths: &[usize], vb: VarBuilder) -> Result<Vec<Linear>> {
    let mut from = inputs;
    let mut built = Vec::with_capacity(widths.len());
    for (index, width) in widths.iter().enumerate() {
        built.push(Linear::new(from, *width, vb.pp(index))?);
        from = *width;
    }
    Ok(built)
}

/// The image channel: convolutions or principal components, then a linear layer.
struct ImageLayers {
    convolutions: Vec<Convolution>,
    /// (504, components)
    components: Option<Tensor>,
    end: Linear,
}

/// The name of the components' buffer: measured on the training rows, not trained.
const COMPONENTS: &str = "image.running_components";

impl ImageLayers {
    fn new(config: &ImageChannel, vb: VarBuilder) -> Result<Self> {
        if let Some(count) = config.components {
            let components = vb.get_with_hints((featurize::PIXELS, count), "running_components", Init::Const(0.0))?;
            let end = Linear::new(count, config.width, vb.pp("linear"))?;
            return Ok(Self { convolutions: Vec::new(), components: Some(components), end });
        }
        let mut grid = (featurize::ROWS, featurize::COLUMNS);
        let mut inputs = 1;
        let mut convolutions = Vec::new();
        let kernels = [(3, 3), (3, 1), (3, 1), (2, 1)].into_iter();
        for (index, ((kernel, stride), outputs)) in kernels.zip(config.channels.iter().copied()).enumerate() {
            let convolution = Convolution::new(grid, kernel, stride, (inputs, outputs), vb.pp(format!("conv{index}")))?;
            grid = convolution.grid; // 8 × 7, 6 × 5, 4 × 3, 3 × 2
            inputs = outputs;
            convolutions.push(convolution);
        }
        let end = Linear::new(grid.0 * grid.1 * inputs, config.width, vb.pp("linear"))?;
        Ok(Self { convolutions, components: None, end })
    }

    /// (B, 504) → (B, what the linear layer takes)
    fn read(&self, image: &Tensor, activation: Activation) -> Result<Tensor> {
        if let Some(components) = &self.components {
            return image.matmul(components);
        }
        let mut pixels = image.unsqueeze(2)?; // (B, 24·21, 1)
        for convolution in &self.convolutions {
            pixels = convolution.forward(&pixels, activation)?; // (B, places, channels)
        }
        pixels.flatten_from(1)
    }
}

/// The principal components' buffer by its full name, from (504, components).
///
/// # Errors
/// A failure of the tensor library.
pub fn component_buffer(components: &Tensor) -> Result<(String, Tensor)> {
    Ok((COMPONENTS.to_owned(), components.contiguous()?))
}

/// A convolution without padding over (B, places, channels), as one matrix product over gathered patches.
struct Convolution {
    linear: Linear,
    /// The first pixel of each place, then the second, …
    by_pixel: Vec<u32>,
    patches: Tensor,
    grid: (usize, usize),
}

impl Convolution {
    fn new(
        (height, width): (usize, usize),
        kernel: usize,
        stride: usize,
        (inputs, outputs): (usize, usize),
        vb: VarBuilder,
    ) -> Result<Self> {
        let grid = ((height - kernel) / stride + 1, (width - kernel) / stride + 1);
        let mut places = Vec::with_capacity(grid.0 * grid.1 * kernel * kernel);
        for (row, column) in (0..grid.0).flat_map(|row| (0..grid.1).map(move |column| (row, column))) {
            for (y, x) in (0..kernel).flat_map(|y| (0..kernel).map(move |x| (y, x))) {
                places.push(((row * stride + y) * width + column * stride + x) as u32);
            }
        }
        let pixels = kernel * kernel;
        let by_pixel = (0..pixels).flat_map(|pixel| places.iter().skip(pixel).step_by(pixels).copied()).collect();
        let patches = Tensor::new(places, vb.device())?;
        Ok(Self { linear: Linear::new(pixels * inputs, outputs, vb)?, by_pixel, patches, grid })
    }

    /// (B, places, inputs) → (B, fewer places, outputs)
    fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let (batch, _, inputs) = x.dims3()?;
        if inputs == 1 {
            let (weight, bias) = (&self.linear.weight, &self.linear.bias);
            if let Some(seen) = fused::convolve(x, weight, bias, &self.by_pixel, activation)? {
                return Ok(seen);
            }
        }
        let places = self.grid.0 * self.grid.1;
        let patch = self.patches.dim(0)? / places * inputs;
        let gathered = x.index_select(&self.patches, 1)?.reshape((batch * places, patch))?;
        self.linear.forward(&gathered, activation)?.reshape((batch, places, ()))
    }
}

/// Attention with residual and layer norm.
struct AttentionBlock {
    attention: Attention,
    norm: LayerNorm,
    place: Norm,
}

impl AttentionBlock {
    fn new(width: usize, shape: &Architecture, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            attention: Attention::new(width, shape.heads, vb.clone())?,
            norm: LayerNorm::new(width, vb.pp("norm"))?,
            place: shape.norm,
        })
    }

    fn forward(&self, x: &Tensor, memory: &Memory) -> Result<(Tensor, Option<KeysValues>)> {
        match self.place {
            Norm::Pre => {
                let (attended, keys) = self.attention.forward(&self.norm.forward(x)?, memory)?;
                Ok(((x + attended)?, keys))
            }
            Norm::Post => {
                let (attended, keys) = self.attention.forward(x, memory)?;
                Ok((self.norm.forward(&(x + attended)?)?, keys))
            }
        }
    }
}

/// The features and, for each, how far it is through each of its quantile bins, from −½ to ½.
struct PiecewiseLinear {
    /// Lower edges of the bins, and one over their widths (0 for an empty bin): (N, bins).
    edges: Tensor,
    slopes: Tensor,
}

impl PiecewiseLinear {
    fn new(features: usize, bins: usize, vb: VarBuilder) -> Result<Self> {
        let get = |name| vb.get_with_hints((features, bins), name, Init::Const(0.0));
        Ok(Self { edges: get(EDGES)?, slopes: get(SLOPES)? })
    }

    /// (B, N) → (B, N + N · bins)
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        fused::encode(x, &self.edges, &self.slopes)
    }
}

/// What the encoding's buffers are called; they are measured on the training rows, not trained.
const EDGES: &str = "running_edges";
const SLOPES: &str = "running_slopes";

/// The encoding's buffers by their full names, from the sorted edges of each feature's bins (one more than
/// bins).
///
/// # Errors
/// A failure of the tensor library.
pub fn encoding_buffers(edges: &[Vec<f32>], device: &Device) -> Result<[(String, Tensor); 2]> {
    let bins = edges.first().map_or(0, Vec::len).saturating_sub(1);
    let lower: Vec<f32> = edges.iter().flat_map(|edges| edges[..bins].iter().copied()).collect();
    let slope = |pair: &[f32]| if pair[1] > pair[0] { 1.0 / (pair[1] - pair[0]) } else { 0.0 };
    let slopes: Vec<f32> = edges.iter().flat_map(|edges| edges.windows(2).map(slope)).collect();
    let tensor = |values| Tensor::from_vec(values, (edges.len(), bins), device);
    Ok([(format!("encoding.{EDGES}"), tensor(lower)?), (format!("encoding.{SLOPES}"), tensor(slopes)?)])
}

/// Layer norm over the features.
struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    fn new(width: usize, vb: VarBuilder) -> Result<Self> {
        let weight = vb.get_with_hints(width, "weight", Init::Const(1.0))?;
        let bias = vb.get_with_hints(width, "bias", Init::Const(0.0))?;
        Ok(Self { weight, bias })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        fused::layer_norm(x, &self.weight, &self.bias)
    }
}
