//! The image channel over plain numbers: one convolution of blocks of pixels that do not overlap, then a linear layer.
//!
//! Its own beside [`super::dense`] because a convolution's sums run over places.

use candle_core::Result;

use super::super::config::Activation;
use super::super::image::ImageLayers;
use super::dense::{Block, Dense, LANES, activate, add_product, numbers};

/// Image to code.
pub(super) struct Channel {
    /// The first pixel of all places, then the second, …, the places filled up with pixel 0 to whole blocks.
    patches: Vec<u32>,
    /// Blocks of places.
    blocks: usize,
    places: usize,
    /// By channel, the weights of the pixels of a place; and the biases.
    weights: Vec<Vec<f32>>,
    bias: Vec<f32>,
    activation: Activation,
    pub(super) end: Dense,
}

impl Channel {
    /// `None` for principal components and for several convolutions.
    pub(super) fn new(layers: &ImageLayers, activation: Activation, end: Activation) -> Result<Option<Self>> {
        let [convolution] = layers.convolutions.as_slice() else { return Ok(None) };
        let (pixels, channels) = convolution.linear.weight.dims2()?;
        let weight = numbers(&convolution.linear.weight)?;
        let places = convolution.by_pixel.len() / pixels;
        let whole = places.next_multiple_of(LANES);
        let filled = |pixels: &[u32]| pixels.iter().copied().chain(std::iter::repeat_n(0, whole - places)).collect();
        let patches = convolution.by_pixel.chunks(places).flat_map(|pixels| -> Vec<u32> { filled(pixels) });
        // The channel's layers give places by channels, its sums channels by places.
        let order: Vec<usize> =
            (0..channels).flat_map(|c| (0..places).map(move |place| place * channels + c)).collect();
        Ok(Some(Self {
            patches: patches.collect(),
            blocks: whole / LANES,
            places,
            weights: (0..channels).map(|c| weight.iter().skip(c).step_by(channels).copied().collect()).collect(),
            bias: numbers(&convolution.linear.bias)?,
            activation,
            end: Dense::new(&layers.end, end, Some(&order))?,
        }))
    }

    /// Numbers between the convolution and the linear layer, with those that fill up the last block.
    pub(super) fn width(&self) -> usize {
        (self.weights.len() - 1) * self.places + self.blocks * LANES
    }

    /// Blocks that [`Self::convolve`] needs to gather pixels.
    pub(super) fn gathered(&self) -> usize {
        self.patches.len() / LANES
    }

    /// The convolution of one image: `out` takes [`Self::width`] numbers.
    pub(super) fn convolve(&self, image: &[f32], gathered: &mut [Block], out: &mut [f32]) {
        pulp::Arch::new().dispatch(Convolve { channel: self, image, gathered, out });
    }

    #[inline(always)]
    fn run(&self, image: &[f32], gathered: &mut [Block], out: &mut [f32]) {
        for (values, pixels) in gathered.iter_mut().zip(self.patches.chunks_exact(LANES)) {
            for (value, pixel) in values.iter_mut().zip(pixels) {
                *value = image[*pixel as usize];
            }
        }
        for (channel, (weights, bias)) in self.weights.iter().zip(&self.bias).enumerate() {
            for block in 0..self.blocks {
                let mut sums = [*bias; LANES];
                for (weight, values) in weights.iter().zip(gathered.chunks_exact(self.blocks)) {
                    add_product(&mut sums, *weight, &values[block]);
                }
                activate(&mut sums, self.activation);
                // What fills up the last block of one channel is overwritten by the next.
                out[channel * self.places + block * LANES..][..LANES].copy_from_slice(&sums);
            }
        }
    }
}

/// One call of [`Channel::convolve`], for the vector code of the machine at hand.
struct Convolve<'a> {
    channel: &'a Channel,
    image: &'a [f32],
    gathered: &'a mut [Block],
    out: &'a mut [f32],
}

impl pulp::WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        self.channel.run(self.image, self.gathered, self.out);
    }
}
