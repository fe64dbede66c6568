//! Access to the numbers of a tensor for fused operations.

use candle_core::{CpuStorage, Layout, Result, Tensor};

/// Whether a fused operation may replace plain operations for this tensor.
pub(super) fn fits(x: &Tensor) -> bool {
    x.device().is_cpu() && !x.track_op()
}

pub(super) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (layout.contiguous_offsets(), storage) {
        (Some((start, end)), CpuStorage::F32(values)) => Ok(&values[start..end]),
        _ => candle_core::bail!("a fused pass reads contiguous f32"),
    }
}
