//! Passes over numbers that a CPU does at once instead of one tensor operation after another.
//!
//! Its own because it is about speed alone: each function gives what the plain operations beside it give (to the last
//! bits of an exponential), in one pass over memory. On a GPU the plain operations run, and while training, where
//! gradients are followed, so they do where a function has no gradient of its own.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor};
use candle_nn::ops;

mod exp;
mod linear;

pub(super) use exp::{exp, exponential};
pub(super) use linear::linear;

/// Whether a fused pass may stand for plain operations on this tensor.
fn fits(x: &Tensor) -> bool {
    x.device().is_cpu() && !x.track_op()
}

/// x · sigmoid(x)
#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (layout.contiguous_offsets(), storage) {
        (Some((start, end)), CpuStorage::F32(values)) => Ok(&values[start..end]),
        _ => candle_core::bail!("a fused pass reads contiguous f32"),
    }
}

/// e^(logits + hidden): logits: (heads, rows, n), hidden: (rows, n), which has no gradient.
pub(super) fn shifted_exp(logits: &Tensor, hidden: &Tensor) -> Result<Tensor> {
    match logits.device().is_cpu() {
        true => logits.apply_op2(hidden, ShiftedExp),
        false => logits.broadcast_add(hidden)?.exp(),
    }
}

struct ShiftedExp;

impl CustomOp2 for ShiftedExp {
    fn name(&self) -> &'static str {
        "shifted-exp"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, shift: &CpuStorage, ls: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, shift) = (floats(x, lx)?, floats(shift, ls)?);
        let mut out = Vec::with_capacity(x.len());
        for head in x.chunks_exact(shift.len()) {
            out.extend(head.iter().zip(shift).map(|(x, shift)| exp(x + shift)));
        }
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, result: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some((result.detach() * grad)?), None))
    }
}

/// Each row's attention to stored keys, (heads, head width, n), and values, (heads, n, head width), and to itself.
/// `qkv`: (rows, 3 · width), queries not yet scaled → (rows, width). `None` where it does not fit.
pub(super) fn attend(qkv: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Option<Tensor>> {
    match fits(qkv) && !keys.track_op() {
        true => qkv.apply_op3_no_bwd(keys, values, &Attend).map(Some),
        false => Ok(None),
    }
}

struct Attend;

impl CustomOp3 for Attend {
    fn name(&self) -> &'static str {
        "attend"
    }

    fn cpu_fwd(
        &self,
        qkv: &CpuStorage,
        l_qkv: &Layout,
        keys: &CpuStorage,
        l_keys: &Layout,
        values: &CpuStorage,
        l_values: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (heads, deep, n) = l_keys.shape().dims3()?;
        let (qkv, keys, values) = (floats(qkv, l_qkv)?, floats(keys, l_keys)?, floats(values, l_values)?);
        let width = heads * deep;
        let rows = qkv.len() / (3 * width);
        let scale = 1.0 / (deep as f32).sqrt();
        let mut out = vec![0.0f32; rows * width];
        let mut weights = vec![0.0f32; n + 1];
        for (row, out) in qkv.chunks_exact(3 * width).zip(out.chunks_exact_mut(width)) {
            for head in 0..heads {
                let part = |which: usize| &row[which * width + head * deep..][..deep];
                let (query, own_key, own_value) = (part(0), part(1), part(2));
                let (keys, values) = (&keys[head * deep * n..][..deep * n], &values[head * n * deep..][..n * deep]);
                weights.fill(0.0);
                for (q, line) in query.iter().zip(keys.chunks_exact(n)) {
                    weights.iter_mut().zip(line).for_each(|(weight, key)| *weight += q * scale * key);
                }
                weights[n] = query.iter().zip(own_key).map(|(q, k)| q * scale * k).sum();
                let largest = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                weights.iter_mut().for_each(|weight| *weight = exp(*weight - largest));
                let share = 1.0 / weights.iter().sum::<f32>();
                let out = &mut out[head * deep..][..deep];
                for (weight, value) in weights.iter().zip(values.chunks_exact(deep).chain([own_value])) {
                    out.iter_mut().zip(value).for_each(|(out, value)| *out += weight * share * value);
                }
            }
        }
        Ok((CpuStorage::F32(out), Shape::from((rows, width))))
    }
}

/// The parts of a kernel of two blocks: see [`super::kernel`].
pub(super) struct Kernel {
    /// Squared norms of the scaled keys, by block.
    pub(super) squares: [Vec<f32>; 2],
    /// Width of the first block.
    pub(super) first: usize,
    /// e^v of the first block, the second, and their product.
    pub(super) parts: [f32; 3],
}

impl Kernel {
    /// `products`: −2 · x · keys of the first block, (B, keys); of the second block likewise, or the same where
    /// there is none; `x`: scaled inputs of both, (B, width). `None` where it does not fit.
    pub(super) fn forward(&self, first: &Tensor, second: &Tensor, x: &Tensor) -> Result<Option<Tensor>> {
        match fits(x) {
            true => first.apply_op3_no_bwd(second, x, self).map(Some),
            false => Ok(None),
        }
    }
}

impl CustomOp3 for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn cpu_fwd(
        &self,
        first: &CpuStorage,
        l_first: &Layout,
        second: &CpuStorage,
        l_second: &Layout,
        x: &CpuStorage,
        lx: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (first, second, x) = (floats(first, l_first)?, floats(second, l_second)?, floats(x, lx)?);
        let (keys, width) = (self.squares[0].len(), lx.shape().dims2()?.1);
        let norm = |part: &[f32]| part.iter().map(|x| x * x).sum::<f32>();
        let matern = |squares: f32| {
            let distance = (3.0 * squares.max(0.0) + 3e-9).sqrt();
            (1.0 + distance) * exp(-distance)
        };
        let [own, other, product] = self.parts;
        let mut out = Vec::with_capacity(first.len());
        let lines = first.chunks_exact(keys).zip(second.chunks_exact(keys)).zip(x.chunks_exact(width));
        for ((first, second), x) in lines {
            let (a, b) = x.split_at(self.first);
            let (a, b) = (norm(a), norm(b));
            let blocks = first.iter().zip(&self.squares[0]);
            if self.squares[1].is_empty() {
                out.extend(blocks.map(|(product, square)| own * matern(product + square + a)));
                continue;
            }
            let blocks = blocks.zip(second.iter().zip(&self.squares[1]));
            out.extend(blocks.map(|((p, square), (q, other_square))| {
                let (m, n) = (matern(p + square + a), matern(q + other_square + b));
                m * (own + product * n) + other * n
            }));
        }
        Ok((CpuStorage::F32(out), l_first.shape().clone()))
    }
}

/// Softmax over the last axis. candle's fused one has no gradient; the plain one makes five passes.
pub(super) fn softmax(scores: &Tensor) -> Result<Tensor> {
    if scores.track_op() { ops::softmax(scores, D::Minus1) } else { ops::softmax_last_dim(scores) }
}

/// Layer norm over the last axis of x: (rows, width).
pub(super) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    // candle's own goes through another thread, even alone.
    if fits(x) && !weight.track_op() {
        return x.contiguous()?.apply_op3_no_bwd(weight, bias, &LayerNorm);
    }
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let scaled = centred.broadcast_div(&(variance + 1e-5)?.sqrt()?)?;
    scaled.broadcast_mul(weight)?.broadcast_add(bias)
}

struct LayerNorm;

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
        bias: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (floats(x, lx)?, floats(weight, lw)?, floats(bias, lb)?);
        let width = weight.len();
        let mut out = Vec::with_capacity(x.len());
        for row in x.chunks_exact(width) {
            let mean = row.iter().sum::<f32>() / width as f32;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / width as f32;
            let scale = 1.0 / (variance + 1e-5).sqrt();
            out.extend(row.iter().zip(weight).zip(bias).map(|((x, weight), bias)| (x - mean) * scale * weight + bias));
        }
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use candle_core::{Device, Var};

    pub(in crate::model) fn tensor(shape: &[usize]) -> Tensor {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i * 37 % 23) as f32 / 6.0 - 1.8).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// The same numbers, followed by gradients: so plain operations run.
    pub(in crate::model) fn followed(x: &Tensor) -> Tensor {
        Var::from_tensor(x).unwrap().as_tensor().clone()
    }

    pub(in crate::model) fn assert_close(a: &Tensor, b: &Tensor) {
        let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 2e-6, "{difference}");
    }

    #[test]
    fn exponential() {
        for x in (-860..870).map(|x| x as f32 / 10.0) {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-6 * (1.0 + x.abs() / 10.0), "{x}: {} {}", exp(x), x.exp());
        }
        assert!(exp(-1e30) < 1e-37 && exp(1e30).is_finite());
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn a_shifted_exponential_has_the_gradient_of_plain_operations() {
        let pass = |fused: bool| {
            let (x, shift) = (Var::from_tensor(&tensor(&[2, 3, 4])).unwrap(), tensor(&[3, 4]));
            let plain = || x.broadcast_add(&shift).unwrap().exp().unwrap();
            let out = if fused { shifted_exp(&x, &shift).unwrap() } else { plain() };
            let mut grads = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            [out.log().unwrap(), grads.remove(&x).unwrap().log().unwrap()]
        };
        pass(true).iter().zip(&pass(false)).for_each(|(fused, plain)| assert_close(fused, plain));
    }

    #[test]
    fn fused_is_what_plain_operations_give() {
        let (x, bias) = (tensor(&[5, 7]), tensor(&[7]));
        assert_close(&layer_norm(&x, &bias, &bias).unwrap(), &layer_norm(&followed(&x), &bias, &bias).unwrap());
        assert_close(&softmax(&x).unwrap(), &softmax(&followed(&x)).unwrap());
    }
}
