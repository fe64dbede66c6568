//! Residual attention on plain arrays: see [`super::super::residual`]. Its sums run over blocks of references.

use candle_core::Result;
use pulp::Simd;

use super::block::{
    Block, LANES, add, add_block, add_product, add_products, blocks, exponentials, keep_larger, largest, reaches,
    scale, total,
};
use super::dense::{Dense, numbers};
use crate::model::nn::layers::Linear;
use crate::model::nn::residual::{
    HIDDEN, LEAST_LOGIT, NAMED_REFERENCES, ReferenceAttention, References, ResidualAttention,
};
use crate::model::spec::network::Activation;

/// Number of outputs corrected together.
const TOGETHER: usize = 4;
/// References with a smaller weight are not named in answers.
const LEAST_WEIGHT: f32 = 1e-3;

/// References prepared for serving.
pub(super) struct DirectReferences {
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
    null_logit: f32,
    /// Number of dimensions.
    deep: usize,
    /// Maps a query to 2τ · q · k − τ |k|² for all references.
    keys: Dense,
}

/// Buffers for a few rows: `scores` holds the logits and then the weights before normalisation, by row and head;
/// `active` marks blocks of references with a weight above 0; `shares` holds the normalisation factor of each head.
pub(super) struct Room {
    scores: Vec<f32>,
    active: Vec<bool>,
    shares: Vec<f32>,
}

/// The attention of one row: its distance to the references, and the largest weights.
#[derive(Clone, Copy)]
pub(super) struct RowAttention {
    pub(super) distance: f32,
    pub(super) largest: [ReferenceAttention; NAMED_REFERENCES],
}

impl DirectReferences {
    pub(super) fn new(layer: &ResidualAttention, references: &References, places: &[u32]) -> Result<Self> {
        let (heads, deep, count) = references.keys.dims3()?;
        let outputs = references.residuals.dim(1)?;
        let (keys, residuals) = (numbers(&references.keys)?, numbers(&references.residuals)?);
        let (sharpness, null_logit) = (numbers(&layer.sharpness)?, numbers(&layer.null_logit)?);
        let head = |head: usize| {
            let sharpness = sharpness[head].exp();
            let own = &keys[head * deep * count..][..deep * count];
            let doubled: Vec<f32> = own.iter().map(|key| 2.0 * sharpness * key).collect();
            let square = |at: usize| own.iter().skip(at).step_by(count).map(|key| key * key).sum::<f32>();
            let offsets: Vec<f32> = (0..count).map(|at| -sharpness * square(at)).collect();
            // The padding of the last block gets a weight of 0.
            let offsets = blocks(&offsets, HIDDEN);
            let keys = Dense::of(deep, &doubled, |dimension| dimension, offsets, (count, Activation::Identity));
            Head { sharpness, null_logit: null_logit[head], keys, deep }
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
            scores: vec![0.0; rows * self.heads.len() * each * LANES],
            active: vec![false; each],
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
    ) -> [RowAttention; R] {
        let each = self.each() * LANES;
        let every = self.heads.len() * each;
        let mut first = 0; // dimension
        for (index, head) in self.heads.iter().enumerate() {
            head.keys.forward::<R>(&queries[first..], from, &mut room.scores[index * each..], every);
            first += head.deep;
        }
        pulp::Arch::new().dispatch(CorrectRows::<R> { references: self, queries, from, room, outputs, to })
    }

    /// Corrects the outputs of one row, from its query and the results of [`Head::keys`].
    #[inline(always)]
    fn correct_row<S: Simd>(
        &self,
        simd: S,
        query: &[f32],
        scores: &mut [Block],
        (active, shares): (&mut [bool], &mut [f32]),
        outputs: &mut [f32],
    ) -> RowAttention {
        let (each, heads) = (self.each(), self.heads.len() as f32);
        let mut attention = RowAttention { distance: 0.0, largest: [ReferenceAttention::default(); NAMED_REFERENCES] };
        let mut first = 0; // dimension
        active.fill(false);
        for ((head, own), share) in self.heads.iter().zip(scores.chunks_exact_mut(each)).zip(shares.iter_mut()) {
            let square = query[first..first + head.deep].iter().map(|q| q * q).sum::<f32>();
            let own_part = -head.sharpness * square - head.null_logit;
            first += head.deep;
            let (mut sums, mut nearest) = ([0.0; LANES], [HIDDEN; LANES]);
            for (logits, active) in own.iter_mut().zip(active.iter_mut()) {
                let mut values = *logits;
                add(simd, &mut values, own_part);
                keep_larger(simd, &mut nearest, &values);
                // Most references are far from a row. Skipping them saves exponentials, which take most of the time.
                if !reaches(simd, &values, LEAST_LOGIT) {
                    *logits = [0.0; LANES];
                    continue;
                }
                *active = true;
                exponentials(simd, &mut values);
                add_block(simd, &mut sums, &values);
                *logits = values;
            }
            attention.distance += (-largest(&nearest) - head.null_logit).max(0.0) / heads;
            *share = 1.0 / ((1.0 + total(&sums)) * heads);
        }
        // The weights overwrite the values of the first head.
        let (weights, others) = scores.split_at_mut(each);
        for (block, weights) in weights.iter_mut().enumerate().filter(|(block, _)| active[*block]) {
            let mut own = *weights;
            scale(simd, &mut own, shares[0]);
            for (head, share) in shares[1..].iter().enumerate() {
                add_product(simd, &mut own, *share, &others[head * each + block]);
            }
            if reaches(simd, &own, attention.largest[NAMED_REFERENCES - 1].weight.max(LEAST_WEIGHT)) {
                self.compare(block * LANES, &own, &mut attention.largest);
            }
            *weights = own;
        }
        for (group, (residuals, gains)) in self.residuals.iter().zip(self.gain.chunks(TOGETHER)).enumerate() {
            let mut sums = [[0.0; LANES]; TOGETHER];
            for ((weights, residuals), _) in
                weights.iter().zip(residuals).zip(active.iter()).filter(|(_, active)| **active)
            {
                for output in 0..TOGETHER {
                    add_products(simd, &mut sums[output], weights, &residuals[output]);
                }
            }
            for ((output, sums), gain) in outputs[group * TOGETHER..].iter_mut().zip(&sums).zip(gains) {
                *output += total(sums) * gain;
            }
        }
        attention
    }

    /// Inserts the weights of a block into the list of the largest.
    fn compare(&self, first: usize, weights: &Block, top: &mut [ReferenceAttention; NAMED_REFERENCES]) {
        for (weight, place) in weights.iter().zip(&self.places[first..]) {
            let at = top.iter().position(|own| *weight > own.weight.max(LEAST_WEIGHT));
            if let Some(at) = at {
                top[at..].rotate_right(1);
                top[at] = ReferenceAttention { place: *place, weight: *weight };
            }
        }
    }
}

/// One call of [`DirectReferences::correct`], compiled for the vector instructions of the machine.
struct CorrectRows<'a, const R: usize> {
    references: &'a DirectReferences,
    queries: &'a [f32],
    from: usize,
    room: &'a mut Room,
    outputs: &'a mut [f32],
    to: usize,
}

impl<const R: usize> pulp::WithSimd for CorrectRows<'_, R> {
    type Output = [RowAttention; R];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [RowAttention; R] {
        let Self { references, queries, from, room: Room { scores, active, shares }, outputs, to } = self;
        let mut attention =
            [RowAttention { distance: 0.0, largest: [ReferenceAttention::default(); NAMED_REFERENCES] }; R];
        let (scores, _) = scores.as_chunks_mut::<LANES>();
        let rows = scores.chunks_exact_mut(references.heads.len() * references.each()).zip(outputs.chunks_mut(to));
        for (((scores, outputs), query), attention) in rows.zip(queries.chunks(from)).zip(&mut attention) {
            *attention = references.correct_row(simd, query, scores, (active, shares), outputs);
        }
        attention
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
