//! The teacher: an ensemble, fitted on the same training rows, that labels synthetic rows (distillation, Hinton 2015).
//!
//! A Gaussian process and trees interpolate between measured alloys better than a network trained on some hundred rows.
//! The network learns from their predictions; the teacher is not stored. Synthetic rows come from [`super::mixer`];
//! their images are computed as for any sample.

use candle_core::{Device, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::data::Dataset;
use crate::featurize::{FeatureSpec, Features, PIXELS, featurize};
use crate::model::{Bundle, rng};
use crate::train::error::FitError;
use crate::train::learners::mixer::Mixer;
use crate::train::training_set::TrainingSet;

/// Number of samples predicted at once.
const AT_ONCE: usize = 256;

/// Synthetic rows, scaled, with the teacher's predictions.
pub(in crate::train) struct Taught {
    pub(in crate::train) count: usize,
    row: Vec<f32>,
    pixels: Option<Vec<f32>>,
    /// Standardised targets or class probabilities of all outputs, row by row; NaN if the teacher gives none.
    answers: Vec<f32>,
    width: usize,
}

impl Taught {
    /// Predicts `count` mixes of `rows` with a teacher that was fitted on `rows`.
    pub(in crate::train) fn ask(
        teacher: &Bundle,
        (data, rows): (&Dataset, &[usize]),
        set: &TrainingSet,
        features: &FeatureSpec,
        (count, by_element): (usize, f64),
        seed: u64,
    ) -> Result<Self, FitError> {
        let mixer = Mixer::new(data, rows, &set.schema, by_element);
        let mut rng = rng(seed, "synthetic rows");
        let mut taught =
            Self { count, row: Vec::new(), pixels: None, answers: Vec::new(), width: set.schema.outputs.width() };
        for start in (0..count).step_by(AT_ONCE) {
            let featurized: Vec<Features> = (start..count.min(start + AT_ONCE))
                .map(|_| featurize(&mixer.mix(&mut rng), &set.schema, features))
                .collect();
            for features in &featurized {
                set.scaling.row.extend(&features.row, &mut taught.row);
                if let (Some(scaler), Some(image)) = (&set.scaling.pixels, &features.pixels) {
                    scaler.extend(image.as_slice(), taught.pixels.get_or_insert_default());
                }
            }
            for output in teacher.ensemble_outputs(&featurized.iter().collect::<Vec<_>>())? {
                taught.answers.extend(output.mixed.iter().map(|value| *value as f32));
            }
        }
        Ok(taught)
    }

    /// (count, N)
    pub(in crate::train) fn row_tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_slice(&self.row, (self.count, self.row.len() / self.count), device)
    }

    /// (count, 504)
    pub(in crate::train) fn pixel_tensor(&self, device: &Device) -> candle_core::Result<Option<Tensor>> {
        self.pixels.as_ref().map(|pixels| Tensor::from_slice(pixels, (self.count, PIXELS), device)).transpose()
    }

    /// The teacher's predictions of some outputs, row by row.
    pub(in crate::train) fn targets(&self, outputs: &[usize]) -> Vec<f32> {
        self.answers.chunks(self.width).flat_map(|row| outputs.iter().map(|output| row[*output])).collect()
    }

    /// Random indices of `batch` rows.
    pub(in crate::train) fn draw(
        &self,
        batch: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let drawn: Vec<u32> = (0..batch).map(|_| rng.random_range(0..self.count as u32)).collect();
        Tensor::from_vec(drawn, batch, device)
    }
}
