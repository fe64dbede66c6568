//! Tensors for tests that compare fused operations with tensor operations.

use candle_core::{Device, Tensor, Var};

pub(in crate::model) fn tensor(shape: &[usize]) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i * 37 % 23) as f32 / 6.0 - 1.8).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The same values with gradient tracking, so that plain operations run.
pub(in crate::model) fn followed(x: &Tensor) -> Tensor {
    Var::from_tensor(x).unwrap().as_tensor().clone()
}

pub(in crate::model) fn assert_close(a: &Tensor, b: &Tensor) {
    let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(difference < 2e-6, "{difference}");
}
