//! A linear layer with its activation as one operation with its own gradient.
//!
//! Training on a CPU spends most of its time here. This form needs one operation per layer instead of three, and
//! computes no gradients of constants.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::exp::{exp, silu};
use super::storage::floats;
use crate::model::spec::network::Activation;

/// activation(x · weight + bias). x: (rows, inputs), weight: (inputs, width), bias: (width).
pub(in crate::model) fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor, activation: Activation) -> Result<Tensor> {
    if x.device().is_cpu() && activation != Activation::Gelu {
        let op = Linear(activation);
        let x = x.contiguous()?;
        return if weight.track_op() { x.apply_op3(weight, bias, op) } else { x.apply_op3_no_bwd(weight, bias, &op) };
    }
    let x = x.matmul(weight)?.broadcast_add(bias)?;
    match activation {
        Activation::Identity => Ok(x),
        Activation::Relu => x.relu(),
        Activation::Gelu => x.gelu(),
        Activation::Silu => x.silu(),
    }
}

struct Linear(Activation);

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let ((rows, inputs), width) = (lx.shape().dims2()?, lw.shape().dims2()?.1);
        let bias = floats(bias, lb)?;
        let CpuStorage::F32(mut out) = x.matmul(weight, (1, rows, width, inputs), lx, lw)? else {
            candle_core::bail!("a fused pass reads f32")
        };
        for row in out.chunks_exact_mut(width) {
            let sums = row.iter_mut().zip(bias);
            match self.0 {
                Activation::Relu => sums.for_each(|(x, bias)| *x = (*x + bias).max(0.0)),
                Activation::Silu => sums.for_each(|(x, bias)| *x = silu(*x + bias)),
                Activation::Identity | Activation::Gelu => sums.for_each(|(x, bias)| *x += bias),
            }
        }
        Ok((CpuStorage::F32(out), Shape::from((rows, width))))
    }

    /// Plain operations would also compute gradients of constants, such as the image.
    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (own, weight) = (x.detach(), weight.detach());
        let grad = grad.contiguous()?;
        let grad = match self.0 {
            Activation::Identity => grad,
            _ => own.matmul(&weight)?.apply_op3_no_bwd(&bias.detach(), &grad, &Slope(self.0))?,
        };
        let of_x = x.track_op().then(|| grad.matmul(&weight.t()?)).transpose()?;
        let of_weight = own.t()?.matmul(&grad)?;
        let of_bias = Tensor::ones((1, grad.dim(0)?), grad.dtype(), grad.device())?.matmul(&grad)?.squeeze(0)?;
        Ok((of_x, Some(of_weight), Some(of_bias)))
    }
}

/// The gradient before the activation, from the gradient after it.
struct Slope(Activation);

impl CustomOp3 for Slope {
    fn name(&self) -> &'static str {
        "activation-slope"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        bias: &CpuStorage,
        lb: &Layout,
        grad: &CpuStorage,
        lg: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, bias, grad) = (floats(x, lx)?, floats(bias, lb)?, floats(grad, lg)?);
        let mut out = Vec::with_capacity(x.len());
        for (row, grad) in x.chunks_exact(bias.len()).zip(grad.chunks_exact(bias.len())) {
            let sums = row.iter().zip(bias).map(|(x, bias)| x + bias).zip(grad);
            match self.0 {
                Activation::Relu => out.extend(sums.map(|(x, grad)| if x > 0.0 { *grad } else { 0.0 })),
                Activation::Silu => out.extend(sums.map(|(x, grad)| {
                    let part = 1.0 / (1.0 + exp(-x));
                    grad * part * (1.0 + x * (1.0 - part))
                })),
                Activation::Identity | Activation::Gelu => out.extend(grad),
            }
        }
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::nn::cpu_ops::samples::tensor;
    use candle_core::Var;

    #[test]
    fn gradients_are_those_of_plain_operations() {
        for activation in [Activation::Identity, Activation::Relu, Activation::Silu] {
            let pass = |fused: bool| {
                let [x, weight, bias] =
                    [&[5, 3][..], &[3, 7], &[7]].map(|shape| Var::from_tensor(&tensor(shape)).unwrap());
                let sum = || x.matmul(&weight).unwrap().broadcast_add(&bias).unwrap();
                let out = match (fused, activation) {
                    (true, _) => linear(&x, &weight, &bias, activation).unwrap(),
                    (false, Activation::Relu) => sum().relu().unwrap(),
                    (false, Activation::Silu) => sum().silu().unwrap(),
                    (false, _) => sum(),
                };
                let mut grads = out.sum_all().unwrap().backward().unwrap();
                let mut grad = |var: &Var| grads.remove(var).unwrap();
                [out, grad(&x), grad(&weight), grad(&bias)]
            };
            for (fused, plain) in pass(true).iter().zip(&pass(false)) {
                let apart = (fused - plain).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                assert!(apart < 2e-5, "{apart}");
            }
        }
    }
}
