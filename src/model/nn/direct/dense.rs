//! A linear layer on plain arrays, for several rows at once.
//!
//! Nearly all multiply-adds happen here. Weights are stored in blocks of [`LANES`] outputs, so that the sums of a block
//! stay in vector registers over all inputs. A sum starts with the bias and adds the inputs in order, whatever the
//! number of rows. So the result of a row does not depend on the other rows, bit for bit.

use candle_core::{Device, Result, Tensor};
use pulp::Simd;

use super::block::{Block, LANES, activate, add_product, blocks};
use crate::model::nn::layers::Linear;
use crate::model::spec::network::Activation;

/// The numbers of a tensor.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()
}

/// A linear layer.
pub(super) struct Dense {
    inputs: usize,
    pub(super) outputs: usize,
    /// Blocks of outputs; in each block the inputs in order.
    weights: Vec<Block>,
    bias: Vec<Block>,
    activation: Activation,
}

impl Dense {
    /// `order`: for each input here, its index among the inputs of `layer`, if they differ.
    pub(super) fn new(layer: &Linear, activation: Activation, order: Option<&[usize]>) -> Result<Self> {
        let inputs = layer.weight.dim(0)?;
        let (weight, bias) = (numbers(&layer.weight)?, numbers(&layer.bias)?);
        let row = |input: usize| order.map_or(input, |order| order[input]);
        Ok(Self::of(inputs, &weight, row, blocks(&bias, 0.0), (bias.len(), activation)))
    }

    /// From weights (inputs, outputs), the row of each input in them, and the biases in blocks.
    pub(super) fn of(
        inputs: usize,
        weight: &[f32],
        row: impl Fn(usize) -> usize,
        bias: Vec<Block>,
        (outputs, activation): (usize, Activation),
    ) -> Self {
        let mut weights = Vec::with_capacity(bias.len() * inputs);
        for start in (0..outputs).step_by(LANES) {
            for input in 0..inputs {
                let row = row(input) * outputs;
                weights.extend(blocks(&weight[row + start..row + outputs.min(start + LANES)], 0.0));
            }
        }
        Self { inputs, outputs, weights, bias, activation }
    }

    /// Number of outputs, including the padding of the last block.
    pub(super) fn width(&self) -> usize {
        self.bias.len() * LANES
    }

    /// Computes R rows. `x` has a row every `from` numbers, `out` every `to` numbers, with room for [`Self::width`] in
    /// each.
    pub(super) fn forward<const R: usize>(&self, x: &[f32], from: usize, out: &mut [f32], to: usize) {
        pulp::Arch::new().dispatch(Forward::<R> { layer: self, x, from, out, to });
    }

    #[inline(always)]
    fn run<S: Simd, const R: usize>(&self, simd: S, x: &[f32], from: usize, out: &mut [f32], to: usize) {
        let rows: [&[f32]; R] = std::array::from_fn(|row| &x[row * from..][..self.inputs]);
        let mut block = 0;
        if R == 1 {
            // A single row has too few sums per block to keep the arithmetic units busy, so it takes several blocks at
            // once.
            while block + 4 <= self.bias.len() {
                self.some::<S, R, 4>(simd, block, &rows, (out, to));
                block += 4;
            }
            while block + 2 <= self.bias.len() {
                self.some::<S, R, 2>(simd, block, &rows, (out, to));
                block += 2;
            }
        }
        while block < self.bias.len() {
            self.some::<S, R, 1>(simd, block, &rows, (out, to));
            block += 1;
        }
    }

    /// Computes B blocks of outputs.
    #[inline(always)]
    fn some<S: Simd, const R: usize, const B: usize>(
        &self,
        simd: S,
        first: usize,
        rows: &[&[f32]; R],
        (out, to): (&mut [f32], usize),
    ) {
        let weights: [&[Block]; B] =
            std::array::from_fn(|block| &self.weights[(first + block) * self.inputs..][..self.inputs]);
        let mut sums: [[Block; B]; R] = [std::array::from_fn(|block| self.bias[first + block]); R];
        for input in 0..self.inputs {
            for row in 0..R {
                let value = rows[row][input];
                for block in 0..B {
                    add_product(simd, &mut sums[row][block], value, &weights[block][input]);
                }
            }
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            let out = &mut out[row * to + first * LANES..][..B * LANES];
            for (sums, out) in sums.iter_mut().zip(out.chunks_exact_mut(LANES)) {
                activate(simd, sums, self.activation);
                out.copy_from_slice(sums);
            }
        }
    }
}

/// One call of [`Dense::forward`], compiled for the vector instructions of the machine. (A closure would not be: it is
/// called through a shim compiled for the baseline instructions.)
struct Forward<'a, const R: usize> {
    layer: &'a Dense,
    x: &'a [f32],
    from: usize,
    out: &'a mut [f32],
    to: usize,
}

impl<const R: usize> pulp::WithSimd for Forward<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.layer.run::<S, R>(simd, self.x, self.from, self.out, self.to);
    }
}
