//! Attention over stored keys and values in one pass over memory.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::exp::exp;
use super::storage::{fits, floats};

/// Attention of each row to stored keys (heads, head width, n) and values (heads, n, head width), and to itself. `qkv`:
/// (rows, 3 · width), with unscaled queries → (rows, width). `None` if the tensors do not allow this form.
pub(in crate::model) fn attend(qkv: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Option<Tensor>> {
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
