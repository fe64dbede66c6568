//! Softmax, and the exponential that residual attention uses in its place.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor};
use candle_nn::ops;

use super::exp::exp;
use super::storage::floats;

/// e^(logits + hidden). logits: (heads, rows, n), hidden: (rows, n), which has no gradient.
pub(in crate::model) fn shifted_exp(logits: &Tensor, hidden: &Tensor) -> Result<Tensor> {
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

/// Softmax over the last axis. candle's fused version has no gradient; the plain one makes five passes over memory.
pub(in crate::model) fn softmax(scores: &Tensor) -> Result<Tensor> {
    if scores.track_op() { ops::softmax(scores, D::Minus1) } else { ops::softmax_last_dim(scores) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::nn::cpu_ops::samples::{assert_close, followed, tensor};
    use candle_core::Var;

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
    fn softmax_is_what_plain_operations_give() {
        let x = tensor(&[5, 7]);
        assert_close(&softmax(&x).unwrap(), &softmax(&followed(&x)).unwrap());
    }
}
