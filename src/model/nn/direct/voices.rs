//! Residual attention on plain arrays: see [`super::super::residual`]. Its sums run over blocks of references.

use candle_core::Result;
use pulp::Simd;

use super::block::{
    Block, LANES, add, add_block, add_product, add_products, blocks, exponentials, keep_larger, largest, reaches,
    scale, total,
};
use super::dense::{Dense, numbers};
use crate::model::nn::layers::Linear;
use crate::model::nn::residual::{HIDDEN, References, ResidualAttention, SILENT, VOICES, Voice};
use crate::model::spec::network::Activation;

/// Number of outputs corrected together.
const TOGETHER: usize = 4;
/// References with a smaller weight are not named in answers.
const WHISPER: f32 = 1e-3;

/// References prepared for serving.
pub(super) struct Voices {
    /// Weight and bias of the layer norm over the code.
    norm: (Vec<f32>, Vec<f32>),
    pub(super) query: Dense,
    heads: Vec<Head>,
    /// Residuals in groups of [`TOGETHER`] outputs, for each block of references.
    residuals: Vec<Vec<[Block; TOGETHER]>>,
    gain: Vec<f32>,
    /// The index of each reference in the manifest.
    places: Vec<u32>,
}

struct Head {
    sharpness: f32,
    nobody: f32,
    /// Number of dimensions.
    deep: usize,
    /// Maps a query to 2τ · q · k − τ |k|² for all references.
    keys: Dense,
}

/// Buffers for a few rows: `said` holds the logits and then the weights before normalisation, by row and head; `loud`
/// marks blocks of references with a weight above 0; `shares` holds the normalisation factor of each head.
pub(super) struct Room {
    said: Vec<f32>,
    loud: Vec<bool>,
    shares: Vec<f32>,
}

/// The attention of one row: its distance to the references, and the largest weights.
#[derive(Clone, Copy)]
pub(super) struct Heard {
    pub(super) distance: f32,
    pub(super) voices: [Voice; VOICES],
}

impl Voices {
    pub(super) fn new(layer: &ResidualAttention, references: &References, places: &[u32]) -> Result<Self> {
        let (heads, deep, count) = references.keys.dims3()?;
        let outputs = references.residuals.dim(1)?;
        let (keys, residuals) = (numbers(&references.keys)?, numbers(&references.residuals)?);
        let (sharpness, nobody) = (numbers(&layer.sharpness)?, numbers(&layer.nobody)?);
        let head = |head: usize| {
            let sharpness = sharpness[head].exp();
            let own = &keys[head * deep * count..][..deep * count];
            let doubled: Vec<f32> = own.iter().map(|key| 2.0 * sharpness * key).collect();
            let square = |at: usize| own.iter().skip(at).step_by(count).map(|key| key * key).sum::<f32>();
            let offsets: Vec<f32> = (0..count).map(|at| -sharpness * square(at)).collect();
            // The padding of the last block gets a weight of 0.
            let offsets = blocks(&offsets, HIDDEN);
            let keys = Dense::of(deep, &doubled, |dimension| dimension, offsets, (count, Activation::Identity));
            Head { sharpness, nobody: nobody[head], keys, deep }
        };
        let of_output = |output: usize| -> Vec<f32> {
            let own = residuals.chunks_exact(outputs).map(|residuals| residuals.get(output).copied().unwrap_or(0.0));
            own.collect()
        };
        let some = |first: usize| -> Vec<[Block; TOGETHER]> {
            let lines: [Vec<Block>; TOGETHER] = std::array::from_fn(|at| blocks(&of_output(first + at), 0.0));
            (0..count.div_ceil(LANES)).map(|block| std::array::from_fn(|at| lines[at][block])).collect()
        };
        let query =
            Linear { bias: layer.query.narrow(0, 0, 1)?.squeeze(0)?.zeros_like()?, weight: layer.query.clone() };
        Ok(Self {
            norm: (numbers(&layer.norm.weight)?, numbers(&layer.norm.bias)?),
            query: Dense::new(&query, Activation::Identity, None)?,
            heads: (0..heads).map(head).collect(),
            residuals: (0..outputs).step_by(TOGETHER).map(some).collect(),
            gain: numbers(&layer.gain)?.into_iter().map(f32::exp).collect(),
            places: places.to_vec(),
        })
    }

    /// Buffers for this number of rows.
    pub(super) fn room(&self, rows: usize) -> Room {
        let each = self.each();
        Room {
            said: vec![0.0; rows * self.heads.len() * each * LANES],
            loud: vec![false; each],
            shares: vec![0.0; self.heads.len()],
        }
    }

    /// Number of blocks of references.
    fn each(&self) -> usize {
        self.places.len().div_ceil(LANES)
    }

    /// The layer norm of a code.
    pub(super) fn normalise(&self, code: &[f32], out: &mut [f32]) {
        let width = code.len() as f32;
        let mean = sum_of(code, |x| x) / width;
        let variance = sum_of(code, |x| (x - mean) * (x - mean)) / width;
        let scale = 1.0 / (variance + 1e-5).sqrt();
        for (((out, x), weight), bias) in out.iter_mut().zip(code).zip(&self.norm.0).zip(&self.norm.1) {
            *out = (x - mean) * scale * weight + bias;
        }
    }

    /// Corrects R rows of outputs by residual attention. Outputs have a row every `to` numbers, queries every `from`
    /// numbers.
    pub(super) fn correct<const R: usize>(
        &self,
        (queries, from): (&[f32], usize),
        room: &mut Room,
        (outputs, to): (&mut [f32], usize),
    ) -> [Heard; R] {
        let each = self.each() * LANES;
        let every = self.heads.len() * each;
        let mut first = 0; // dimension
        for (index, head) in self.heads.iter().enumerate() {
            head.keys.forward::<R>(&queries[first..], from, &mut room.said[index * each..], every);
            first += head.deep;
        }
        pulp::Arch::new().dispatch(Settle::<R> { voices: self, queries, from, room, outputs, to })
    }

    /// Corrects the outputs of one row, from its query and the results of [`Head::keys`].
    #[inline(always)]
    fn settle<S: Simd>(
        &self,
        simd: S,
        query: &[f32],
        said: &mut [Block],
        (loud, shares): (&mut [bool], &mut [f32]),
        outputs: &mut [f32],
    ) -> Heard {
        let (each, heads) = (self.each(), self.heads.len() as f32);
        let mut heard = Heard { distance: 0.0, voices: [Voice::default(); VOICES] };
        let mut first = 0; // dimension
        loud.fill(false);
        for ((head, own), share) in self.heads.iter().zip(said.chunks_exact_mut(each)).zip(shares.iter_mut()) {
            let square = query[first..first + head.deep].iter().map(|q| q * q).sum::<f32>();
            let own_part = -head.sharpness * square - head.nobody;
            first += head.deep;
            let (mut sums, mut nearest) = ([0.0; LANES], [HIDDEN; LANES]);
            for (logits, loud) in own.iter_mut().zip(loud.iter_mut()) {
                let mut voices = *logits;
                add(simd, &mut voices, own_part);
                keep_larger(simd, &mut nearest, &voices);
                // Most references are far from a row. Skipping them saves exponentials, which take most of the time.
                if !reaches(simd, &voices, SILENT) {
                    *logits = [0.0; LANES];
                    continue;
                }
                *loud = true;
                exponentials(simd, &mut voices);
                add_block(simd, &mut sums, &voices);
                *logits = voices;
            }
            heard.distance += (-largest(&nearest) - head.nobody).max(0.0) / heads;
            *share = 1.0 / ((1.0 + total(&sums)) * heads);
        }
        // The weights overwrite the values of the first head.
        let (weights, others) = said.split_at_mut(each);
        for (block, weights) in weights.iter_mut().enumerate().filter(|(block, _)| loud[*block]) {
            let mut own = *weights;
            scale(simd, &mut own, shares[0]);
            for (head, share) in shares[1..].iter().enumerate() {
                add_product(simd, &mut own, *share, &others[head * each + block]);
            }
            if reaches(simd, &own, heard.voices[VOICES - 1].weight.max(WHISPER)) {
                self.compare(block * LANES, &own, &mut heard.voices);
            }
            *weights = own;
        }
        for (group, (residuals, gains)) in self.residuals.iter().zip(self.gain.chunks(TOGETHER)).enumerate() {
            let mut sums = [[0.0; LANES]; TOGETHER];
            for ((weights, residuals), _) in weights.iter().zip(residuals).zip(loud.iter()).filter(|(_, loud)| **loud) {
                for output in 0..TOGETHER {
                    add_products(simd, &mut sums[output], weights, &residuals[output]);
                }
            }
            for ((output, sums), gain) in outputs[group * TOGETHER..].iter_mut().zip(&sums).zip(gains) {
                *output += total(sums) * gain;
            }
        }
        heard
    }

    /// Inserts the weights of a block into the list of the largest.
    fn compare(&self, first: usize, weights: &Block, loudest: &mut [Voice; VOICES]) {
        for (weight, place) in weights.iter().zip(&self.places[first..]) {
            let at = loudest.iter().position(|voice| *weight > voice.weight.max(WHISPER));
            if let Some(at) = at {
                loudest[at..].rotate_right(1);
                loudest[at] = Voice { place: *place, weight: *weight };
            }
        }
    }
}

/// One call of [`Voices::correct`], compiled for the vector instructions of the machine.
struct Settle<'a, const R: usize> {
    voices: &'a Voices,
    queries: &'a [f32],
    from: usize,
    room: &'a mut Room,
    outputs: &'a mut [f32],
    to: usize,
}

impl<const R: usize> pulp::WithSimd for Settle<'_, R> {
    type Output = [Heard; R];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [Heard; R] {
        let Self { voices, queries, from, room: Room { said, loud, shares }, outputs, to } = self;
        let mut heard = [Heard { distance: 0.0, voices: [Voice::default(); VOICES] }; R];
        let (said, _) = said.as_chunks_mut::<LANES>();
        let rows = said.chunks_exact_mut(voices.heads.len() * voices.each()).zip(outputs.chunks_mut(to));
        for (((said, outputs), query), heard) in rows.zip(queries.chunks(from)).zip(&mut heard) {
            *heard = voices.settle(simd, query, said, (loud, shares), outputs);
        }
        heard
    }
}

/// The sum of `of(value)` over all values, in lanes, always in the same order.
#[inline(always)]
fn sum_of(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    for values in values.chunks(LANES) {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += of(*value));
    }
    total(&sums)
}
