//! Initial parameters and dropout masks from a seeded random generator.
//!
//! candle's CPU backend cannot be seeded. Each parameter has its own generator, seeded by (seed, name), so the initial
//! network does not depend on the order in which parameters are created.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Uniform};

use crate::model::rng::rng;

/// Trainable parameters by name, created on first request. This is a `VarBuilder` backend; clones share the parameters.
#[derive(Clone)]
pub struct SeededParameters {
    seed: u64,
    variables: Arc<Mutex<BTreeMap<String, Var>>>,
}

impl SeededParameters {
    /// An empty set of parameters.
    pub fn new(seed: u64) -> Self {
        Self { seed, variables: Arc::default() }
    }

    /// The parameters in the order of their names.
    pub fn variables(&self) -> BTreeMap<String, Var> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Var>> {
        self.variables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimpleBackend for SeededParameters {
    fn get(&self, shape: Shape, name: &str, init: Init, _: DType, device: &Device) -> Result<Tensor> {
        if let Some(variable) = self.lock().get(name) {
            return Ok(variable.as_tensor().clone());
        }
        let values = draw(&init, &shape, &mut rng(self.seed, name))?;
        let variable = Var::from_tensor(&Tensor::from_vec(values, shape, device)?)?;
        let tensor = variable.as_tensor().clone();
        self.lock().insert(name.to_owned(), variable);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        let known = self.lock().get(name).map(|variable| variable.as_tensor().clone());
        known.ok_or_else(|| candle_core::Error::Msg(format!("no parameter {name}")))
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }
}

/// Draws initial values, of the two kinds that our layers use.
fn draw(init: &Init, shape: &Shape, rng: &mut ChaCha8Rng) -> Result<Vec<f32>> {
    let count = shape.elem_count();
    match *init {
        Init::Const(value) => Ok(vec![value as f32; count]),
        Init::Uniform { lo, up } => {
            let distribution = Uniform::new_inclusive(lo as f32, up as f32).map_err(candle_core::Error::wrap)?;
            Ok(distribution.sample_iter(rng).take(count).collect())
        }
        Init::Randn { .. } | Init::Kaiming { .. } => candle_core::bail!("initial values of the kind {init:?}"),
    }
}

/// Dropout with seeded masks, so that training is reproducible bit for bit.
pub struct Dropout {
    probability: f64,
    rng: ChaCha8Rng,
}

impl Dropout {
    /// Drops each activation with `probability` (in 0..1) and scales the others to keep the mean.
    pub fn new(probability: f64, seed: u64) -> Self {
        Self { probability, rng: rng(seed, "dropout") }
    }

    /// Applies a new mask.
    ///
    /// # Errors
    /// The tensor library failed.
    pub fn apply(&mut self, x: &Tensor) -> Result<Tensor> {
        if self.probability <= 0.0 {
            return Ok(x.clone());
        }
        let threshold = (self.probability * f64::from(u32::MAX)) as u32;
        let kept = (1.0 / (1.0 - self.probability)) as f32;
        let mut next = || if self.rng.next_u32() < threshold { 0.0 } else { kept };
        let mask: Vec<f32> = (0..x.elem_count()).map(|_| next()).collect();
        x.mul(&Tensor::from_vec(mask, x.shape(), x.device())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_and_seed_give_the_same_values_in_any_order() {
        let get = |names: [&str; 2], seed| {
            let parameters = SeededParameters::new(seed);
            for name in names {
                let init = Init::Uniform { lo: -1.0, up: 1.0 };
                parameters.get((3, 4).into(), name, init, DType::F32, &Device::Cpu).unwrap();
            }
            parameters.variables()["a"].flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(get(["a", "b"], 7), get(["b", "a"], 7));
        assert_ne!(get(["a", "b"], 7), get(["a", "b"], 8));
    }

    #[test]
    fn dropout_keeps_the_mean_and_repeats() {
        let ones = Tensor::ones((100, 100), DType::F32, &Device::Cpu).unwrap();
        let apply = || Dropout::new(0.25, 3).apply(&ones).unwrap();
        let mean = apply().mean_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        assert_eq!(apply().to_vec2::<f32>().unwrap(), apply().to_vec2::<f32>().unwrap());
    }
}
