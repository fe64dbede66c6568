//! Layer norm in one pass over memory.

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};

use super::storage::{fits, floats};

/// Layer norm over the last axis of x: (rows, width).
pub(in crate::model) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    // candle's own version uses another thread even for one row.
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
mod tests {
    use super::*;
    use crate::model::nn::cpu_ops::samples::{assert_close, followed, tensor};

    #[test]
    fn it_is_what_plain_operations_give() {
        let (x, bias) = (tensor(&[5, 7]), tensor(&[7]));
        assert_close(&layer_norm(&x, &bias, &bias).unwrap(), &layer_norm(&followed(&x), &bias, &bias).unwrap());
    }
}
