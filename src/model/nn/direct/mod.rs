//! The network as one pass over plain arrays, for serving on a CPU.
//!
//! It is only for speed: it gives the same results as [`super::mcvn`], up to the last digits of a sum, without a tensor
//! for each step. Four rows at a time go through the whole network, in the vector instructions of the machine
//! ([`block`]). Networks of other shapes than the shipped ones (several convolutions, attention over codes, batch
//! normalisation) use tensors, as does everything on a GPU.

mod block;
mod channel;
mod dense;
mod references;
#[cfg(test)]
mod tests;

use candle_core::Result;

pub(in crate::model) use self::channel::in_patches;

use self::channel::{Channel, patched_width};
use self::dense::{Dense, numbers};
use self::references::{DirectReferences, Room, RowAttention};
use crate::model::nn::layers::{Linear, PiecewiseLinear};
use crate::model::nn::mcvn::Mcvn;
use crate::model::nn::residual::{ReferenceAttention, References};
use crate::model::spec::network::Activation;

/// Number of rows that go through the layers together.
const TOGETHER: usize = 4;

/// The network.
pub(in crate::model) struct Direct {
    features: usize,
    encoding: Option<Encoding>,
    channel: Option<Channel>,
    row: Vec<Dense>,
    head: Vec<Dense>,
    output: Dense,
    references: Option<DirectReferences>,
    /// Width of the fused code.
    fused: usize,
    /// Width of the widest layer, including padding.
    widest: usize,
}

/// Outputs of rows, one after another. With references, also their distances and the largest reference weights.
pub(in crate::model) struct Answers {
    pub(in crate::model) values: Vec<f32>,
    pub(in crate::model) distances: Vec<f32>,
    pub(in crate::model) references: Vec<ReferenceAttention>,
}

struct Encoding {
    bins: usize,
    edges: Vec<f32>,
    slopes: Vec<f32>,
}

impl Encoding {
    fn new(layer: &PiecewiseLinear) -> Result<Self> {
        Ok(Self { bins: layer.edges.dim(1)?, edges: numbers(&layer.edges)?, slopes: numbers(&layer.slopes)? })
    }

    /// See [`super::layers::PiecewiseLinear`].
    fn encode(&self, row: &[f32], out: &mut [f32]) {
        let (features, ramps) = out.split_at_mut(row.len());
        features.copy_from_slice(row);
        let bins = self.edges.chunks_exact(self.bins).zip(self.slopes.chunks_exact(self.bins));
        for ((x, (edges, slopes)), out) in row.iter().zip(bins).zip(ramps.chunks_exact_mut(self.bins)) {
            for ((out, edge), slope) in out.iter_mut().zip(edges).zip(slopes) {
                *out = ((x - edge) * slope).clamp(0.0, 1.0) - 0.5;
            }
        }
    }
}

/// Buffers for values between the layers of a few rows.
struct Scratch {
    from: Vec<f32>,
    to: Vec<f32>,
    code: Vec<f32>,
    queries: Vec<f32>,
    room: Option<Room>,
}

impl Direct {
    /// `None` for a network of another shape.
    pub(in crate::model) fn new(network: &Mcvn, references: Option<(&References, &[u32])>) -> Result<Option<Self>> {
        let config = network.config();
        let shape = &config.architecture;
        let covered = |activation| activation != Activation::Gelu;
        let others = shape.attention.of_codes() || shape.batch_norm || shape.image_only;
        // Without a stem or a row layer, the features themselves would be the code, which is not supported.
        if others || !covered(shape.activation) || (shape.stem.is_none() && shape.row.is_empty()) {
            return Ok(None);
        }
        let channel = match (&shape.image, &network.image) {
            (Some(image), _) if !covered(image.activation) => return Ok(None),
            (Some(image), Some(layers)) => match Channel::new(layers, image.activation, shape.activation)? {
                Some(channel) => Some(channel),
                None => return Ok(None),
            },
            _ => None,
        };
        let dense = |layer: &Linear| Dense::new(layer, shape.activation, None);
        let row = network.stem.iter().chain(&network.row).map(dense).collect::<Result<Vec<_>>>()?;
        let head = network.head.iter().map(dense).collect::<Result<Vec<_>>>()?;
        let output = Dense::new(&network.output, Activation::Identity, None)?;
        let references = network.residual.as_ref().zip(references);
        let references = references
            .map(|(layer, (references, places))| DirectReferences::new(layer, references, places))
            .transpose()?;
        let widths = row.iter().chain(&head).chain([&output]).map(Dense::width);
        let channels = channel.iter().flat_map(|channel| [channel.width(), channel.end.width()]);
        let fused = config.fused_width();
        let widths = widths.chain(channels).chain([config.encoded_width(), fused]);
        Ok(Some(Self {
            features: config.row_features,
            encoding: network.encoding.as_ref().map(Encoding::new).transpose()?,
            widest: widths.max().unwrap_or(0),
            channel,
            row,
            head,
            output,
            references,
            fused,
        }))
    }

    /// Predicts rows of scaled features. `patches` returns the images, in the order of [`in_patches`].
    pub(in crate::model) fn answer<'a>(&self, rows: &[f32], patches: impl FnOnce() -> &'a [f32]) -> Answers {
        let count = rows.len() / self.features;
        let together = count.min(TOGETHER);
        let mut scratch = Scratch {
            from: vec![0.0; together * self.widest],
            to: vec![0.0; together * self.widest],
            code: vec![0.0; together * self.fused],
            queries: vec![0.0; together * self.references.as_ref().map_or(0, |references| references.query.width())],
            room: self.references.as_ref().map(|references| references.room(together)),
        };
        let mut answers = Answers { values: Vec::new(), distances: Vec::new(), references: Vec::new() };
        answers.values.reserve(count * self.output.outputs);
        let (images, wide) = match &self.channel {
            Some(_) => (patches(), patched_width()),
            None => (&[][..], 0),
        };
        let mut row = 0;
        while row < count {
            let whole = row + TOGETHER <= count;
            let now = if whole { TOGETHER } else { 1 };
            let rows = &rows[row * self.features..][..now * self.features];
            let images = &images[row * wide..][..now * wide];
            if whole {
                self.few::<TOGETHER>(rows, images, &mut scratch, &mut answers);
            } else {
                self.few::<1>(rows, images, &mut scratch, &mut answers);
            }
            row += now;
        }
        answers
    }

    /// Computes R rows through all layers.
    fn few<const R: usize>(&self, rows: &[f32], images: &[f32], scratch: &mut Scratch, answers: &mut Answers) {
        let Scratch { from, to, code, queries, room } = scratch;
        let (step, fused) = (self.widest, self.fused);
        let mut seen = 0;
        if let Some(channel) = &self.channel {
            for (image, out) in images.chunks_exact(patched_width()).zip(from.chunks_exact_mut(step)) {
                channel.convolve(image, out);
            }
            channel.end.forward::<R>(from, step, to, step);
            seen = channel.end.outputs;
            for (out, code) in to.chunks_exact(step).zip(code.chunks_exact_mut(fused)).take(R) {
                code[..seen].copy_from_slice(&out[..seen]);
            }
        }
        for (row, out) in rows.chunks_exact(self.features).zip(from.chunks_exact_mut(step)) {
            match &self.encoding {
                Some(encoding) => encoding.encode(row, &mut out[..self.features * (1 + encoding.bins)]),
                None => out[..self.features].copy_from_slice(row),
            }
        }
        for layer in &self.row {
            layer.forward::<R>(from, step, to, step);
            std::mem::swap(from, to);
        }
        for (out, code) in from.chunks_exact(step).zip(code.chunks_exact_mut(fused)).take(R) {
            code[seen..fused].copy_from_slice(&out[..fused - seen]);
        }
        let mut attention: Option<[RowAttention; R]> = None;
        for (index, layer) in self.head.iter().chain([&self.output]).enumerate() {
            let (x, every) = if index == 0 { (&*code, fused) } else { (&*from, step) };
            layer.forward::<R>(x, every, to, step);
            std::mem::swap(from, to);
        }
        if let (Some(references), Some(room)) = (&self.references, room) {
            for (code, out) in code.chunks_exact(fused).zip(to.chunks_exact_mut(step)).take(R) {
                references.normalise(code, &mut out[..fused]);
            }
            let every = references.query.width();
            references.query.forward::<R>(to, step, queries, every);
            attention = Some(references.correct::<R>((queries, every), room, (from, step)));
        }
        for out in from.chunks_exact(step).take(R) {
            answers.values.extend_from_slice(&out[..self.output.outputs]);
        }
        for attention in attention.iter().flatten() {
            answers.distances.push(attention.distance);
            answers.references.extend_from_slice(&attention.largest);
        }
    }
}
