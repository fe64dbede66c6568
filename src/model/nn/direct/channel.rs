//! The image channel on plain arrays: one convolution over blocks of pixels that do not overlap, then a linear layer.

use std::sync::LazyLock;

use candle_core::Result;
use pulp::Simd;

use super::block::{Block, LANES, activate, add_product};
use super::dense::{Dense, numbers};
use crate::featurize::PIXELS;
use crate::model::nn::image::{ImageLayers, first_patches};
use crate::model::spec::network::Activation;

/// The order in which pixels are read.
struct Order {
    /// The first pixel of all places, then the second, and so on. Places are padded with pixel 0 to whole blocks.
    pixels: Vec<u32>,
    places: usize,
    /// Number of blocks of places.
    blocks: usize,
}

static ORDER: LazyLock<Order> = LazyLock::new(|| {
    let (patches, pixels) = first_patches();
    let places = patches.len() / pixels;
    let whole = places.next_multiple_of(LANES);
    let of_all = |pixel| patches.iter().skip(pixel).step_by(pixels).copied();
    let filled = (0..pixels).flat_map(|pixel| of_all(pixel).chain(std::iter::repeat_n(0, whole - places)));
    Order { pixels: filled.collect(), places, blocks: whole / LANES }
});

/// The pixels of images in the order that [`Channel::convolve`] reads. It is the same for all networks, so it is
/// computed once: it takes as long as the convolution itself.
pub(in crate::model) fn in_patches(images: &[f32]) -> Vec<f32> {
    let (images, _) = images.as_chunks::<PIXELS>();
    let order = &ORDER.pixels;
    let mut patches = Vec::with_capacity(images.len() * order.len());
    for image in images {
        patches.extend(order.iter().map(|pixel| image[*pixel as usize]));
    }
    patches
}

/// Number of values per image in this order.
pub(super) fn patched_width() -> usize {
    ORDER.pixels.len()
}

/// The image channel: from pixels to a code.
pub(super) struct Channel {
    /// For each channel, the weights of the pixels of a place; and the biases.
    weights: Vec<Vec<f32>>,
    bias: Vec<f32>,
    activation: Activation,
    pub(super) end: Dense,
}

impl Channel {
    /// `None` for principal components and for several convolutions.
    pub(super) fn new(layers: &ImageLayers, activation: Activation, end: Activation) -> Result<Option<Self>> {
        let [convolution] = layers.convolutions.as_slice() else { return Ok(None) };
        let channels = convolution.linear.weight.dim(1)?;
        let weight = numbers(&convolution.linear.weight)?;
        // The tensor layers order the convolution's outputs by place, then channel; here they are by channel, then
        // place.
        let order: Vec<usize> =
            (0..channels).flat_map(|c| (0..ORDER.places).map(move |place| place * channels + c)).collect();
        Ok(Some(Self {
            weights: (0..channels).map(|c| weight.iter().skip(c).step_by(channels).copied().collect()).collect(),
            bias: numbers(&convolution.linear.bias)?,
            activation,
            end: Dense::new(&layers.end, end, Some(&order))?,
        }))
    }

    /// Number of values between the convolution and the linear layer, including the padding of the last block.
    pub(super) fn width(&self) -> usize {
        (self.weights.len() - 1) * ORDER.places + ORDER.blocks * LANES
    }

    /// The convolution of one image from [`in_patches`]. `out` takes [`Self::width`] numbers.
    pub(super) fn convolve(&self, image: &[f32], out: &mut [f32]) {
        pulp::Arch::new().dispatch(Convolve { channel: self, image: image.as_chunks().0, out });
    }

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, image: &[Block], out: &mut [f32]) {
        let Order { places, blocks, .. } = *ORDER;
        for (channel, (weights, bias)) in self.weights.iter().zip(&self.bias).enumerate() {
            for block in 0..blocks {
                let mut sums = [*bias; LANES];
                for (weight, pixels) in weights.iter().zip(image.chunks_exact(blocks)) {
                    add_product(simd, &mut sums, *weight, &pixels[block]);
                }
                activate(simd, &mut sums, self.activation);
                // The padding after one channel is overwritten by the next channel.
                out[channel * places + block * LANES..][..LANES].copy_from_slice(&sums);
            }
        }
    }
}

/// One call of [`Channel::convolve`], compiled for the vector instructions of the machine.
struct Convolve<'a> {
    channel: &'a Channel,
    image: &'a [Block],
    out: &'a mut [f32],
}

impl pulp::WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.channel.run(simd, self.image, self.out);
    }
}
