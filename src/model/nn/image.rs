//! The image channel: convolutions over the image (Eq. 2), or its principal components, then a linear layer.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

use crate::featurize;
use crate::model::nn::layers::Linear;
use crate::model::spec::network::{Activation, ImageChannel};

/// The image channel: convolutions or principal components, then a linear layer.
pub(in crate::model) struct ImageLayers {
    pub(in crate::model) convolutions: Vec<Convolution>,
    /// (504, components)
    components: Option<Tensor>,
    pub(in crate::model) end: Linear,
}

/// Rows and columns of the image.
const GRID: (usize, usize) = (featurize::ROWS, featurize::COLUMNS);
/// Kernel size and stride of each convolution.
const KERNELS: [(usize, usize); 4] = [(3, 3), (3, 1), (3, 1), (2, 1)];
/// Name of the buffer with the components. They are computed from the training rows, not trained.
const COMPONENTS: &str = "image.running_components";

impl ImageLayers {
    pub(in crate::model) fn new(config: &ImageChannel, vb: VarBuilder) -> Result<Self> {
        if let Some(count) = config.components {
            let components = vb.get_with_hints((featurize::PIXELS, count), "running_components", Init::Const(0.0))?;
            let end = Linear::new(count, config.width, vb.pp("linear"))?;
            return Ok(Self { convolutions: Vec::new(), components: Some(components), end });
        }
        let mut grid = GRID;
        let mut inputs = 1;
        let mut convolutions = Vec::new();
        for (index, ((kernel, stride), outputs)) in KERNELS.into_iter().zip(config.channels.iter().copied()).enumerate()
        {
            let convolution = Convolution::new(grid, kernel, stride, (inputs, outputs), vb.pp(format!("conv{index}")))?;
            grid = convolution.grid; // 8 × 7, 6 × 5, 4 × 3, 3 × 2
            inputs = outputs;
            convolutions.push(convolution);
        }
        let end = Linear::new(grid.0 * grid.1 * inputs, config.width, vb.pp("linear"))?;
        Ok(Self { convolutions, components: None, end })
    }

    /// (B, 504) → (B, inputs of the linear layer)
    pub(in crate::model) fn read(&self, image: &Tensor, activation: Activation) -> Result<Tensor> {
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

/// The indices of the pixels under the kernel, place by place.
fn patches((height, width): (usize, usize), kernel: usize, stride: usize) -> Vec<u32> {
    let starts = move |length: usize| (0..=length - kernel).step_by(stride);
    let places = starts(height).flat_map(|row| starts(width).map(move |column| (row, column)));
    let pixels = |(row, column)| {
        let own = move |y| (0..kernel).map(move |x| ((row + y) * width + column + x) as u32);
        (0..kernel).flat_map(own)
    };
    places.flat_map(pixels).collect()
}

/// The indices of the pixels under the first convolution's kernel, place by place; and the number of pixels per place.
pub(in crate::model) fn first_patches() -> (Vec<u32>, usize) {
    let (kernel, stride) = KERNELS[0];
    (patches(GRID, kernel, stride), kernel * kernel)
}

/// The buffer of the principal components with its full name, from (504, components).
///
/// # Errors
/// The tensor library failed.
pub fn component_buffer(components: &Tensor) -> Result<(String, Tensor)> {
    Ok((COMPONENTS.to_owned(), components.contiguous()?))
}

/// A convolution without padding over (B, places, channels), as one matrix product over gathered patches.
pub(in crate::model) struct Convolution {
    pub(in crate::model) linear: Linear,
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
        let patches = Tensor::new(patches((height, width), kernel, stride), vb.device())?;
        Ok(Self { linear: Linear::new(kernel * kernel * inputs, outputs, vb)?, patches, grid })
    }

    /// (B, places, inputs) → (B, fewer places, outputs)
    fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        let (batch, _, inputs) = x.dims3()?;
        let places = self.grid.0 * self.grid.1;
        let patch = self.patches.dim(0)? / places * inputs;
        let gathered = x.index_select(&self.patches, 1)?.reshape((batch * places, patch))?;
        self.linear.forward(&gathered, activation)?.reshape((batch, places, ()))
    }
}
