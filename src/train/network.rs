//! Training one network of a committee: the loop that takes a network from its random start to its outcomes.
//!
//! Its own because it is the one place where a network meets outcomes. Everything random comes from the
//! member's seed, so the same seed gives the same bytes. An observer sees every step and can stop it.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, ops};
use faer::Mat;
use rand_chacha::ChaCha8Rng;

use super::bound::principal_components;
use super::cohort::medoids;
use super::committee::Training;
use super::fit::FitError;
use super::material::{Material, Outcomes};
use super::optimizer::AdamW;
use crate::featurize::PIXELS;
use crate::model::{
    Attend, AttentionMode, Dropout, Mcvn, McvnConfig, MemberTensors, Pass, SeededParameters, cohort_tensors,
    component_buffer, encoding_buffers, rng, shuffled,
};

/// Trains a network on some of the outputs.
pub(super) fn train_network(
    plan: &Training,
    material: &Material,
    config: &McvnConfig,
    outputs: &[usize],
    seed: u64,
    device: &Device,
    observe: &dyn Fn(usize, f64) -> ControlFlow<()>,
) -> Result<MemberTensors, FitError> {
    let parameters = SeededParameters::new(seed);
    let vb = VarBuilder::from_backend(Box::new(parameters.clone()), DType::F32, device.clone());
    let network = Mcvn::new(config.clone(), vb)?;
    if let Some(bins) = config.architecture.bins {
        for (name, buffer) in encoding_buffers(&quantile_edges(material, bins), device)? {
            if let Some(variable) = parameters.variables().get(&name) {
                variable.set(&buffer)?;
            }
        }
    }
    if let (Some(count), Some(pixels)) =
        (config.architecture.image.as_ref().and_then(|image| image.components), &material.pixels)
    {
        let (name, buffer) = component_buffer(&leading_components(pixels, count, device)?)?;
        if let Some(variable) = parameters.variables().get(&name) {
            variable.set(&buffer)?;
        }
    }
    let mut optimizer = AdamW::new(parameters.variables(), plan)?;
    let mut dropout = Dropout::new(config.architecture.dropout, seed);
    let mut batches = Batches::new(material.count, plan.batch, seed);

    let row = material.row_tensor(device)?;
    let pixels = if config.architecture.image.is_some() { material.pixel_tensor(device)? } else { None };
    let wanted = material.wanted(outputs, plan.label_smoothing);
    let (wanted, measured) = with_mask(wanted, (material.count, outputs.len()), device)?;
    let cohort = Reference::choose(plan, material, config, seed, &row, pixels.as_ref())?;
    for step in 0..plan.steps {
        let (mut row, mut pixels) = (row.clone(), pixels.clone());
        let (mut wanted, mut measured) = (wanted.clone(), measured.clone());
        if let Some(batch) = batches.next() {
            let batch = Tensor::from_vec(batch, batches.size, device)?;
            row = row.index_select(&batch, 0)?;
            pixels = pixels.map(|pixels| pixels.index_select(&batch, 0)).transpose()?;
            wanted = wanted.index_select(&batch, 0)?;
            measured = measured.map(|measured| measured.index_select(&batch, 0)).transpose()?;
        }
        let count = row.dim(0)?;
        let attend = match (&cohort, config.architecture.attention) {
            (Some(cohort), _) => {
                row = Tensor::cat(&[&row, &cohort.row], 0)?;
                if let (Some(all), Some(own)) = (&pixels, &cohort.pixels) {
                    pixels = Some(Tensor::cat(&[all, own], 0)?);
                }
                Attend::LastRows(cohort.row.dim(0)?)
            }
            (None, AttentionMode::Cohort) => Attend::Batch,
            (None, _) => Attend::Itself,
        };
        let mut pass = Pass { attend, training: Some(&mut dropout) };
        let outputs = network.forward(&row, pixels.as_ref(), &mut pass)?.narrow(0, 0, count)?;
        let loss = match (&material.outcomes, measured) {
            (Outcomes::Values { .. }, None) => (outputs - wanted)?.sqr()?.mean_all()?,
            (Outcomes::Values { .. }, Some(measured)) => {
                let cells = f64::from(measured.sum_all()?.to_scalar::<f32>()?).max(1.0);
                (((outputs - wanted)? * measured)?.sqr()?.sum_all()? / cells)?
            }
            (Outcomes::Classes { .. }, _) => (wanted * ops::log_softmax(&outputs, 1)?)?.sum(1)?.mean_all()?.neg()?,
        };
        let value = f64::from(loss.to_scalar::<f32>()?);
        if !value.is_finite() {
            return Err(FitError::Diverged(step));
        }
        optimizer.step(&loss.backward()?)?;
        if observe(step + 1, value).is_break() {
            return Err(FitError::Cancelled);
        }
    }
    let mut tensors = optimizer.finish()?;
    if let Some(cohort) = cohort {
        let cohort = network.condense(&cohort.row, cohort.pixels.as_ref())?;
        tensors.extend(cohort_tensors(&cohort));
    }
    Ok(tensors)
}

/// Outcomes as a tensor, and where some were not measured (NaN) a mask: 1 for those that were.
fn with_mask(
    mut wanted: Vec<f32>,
    shape: (usize, usize),
    device: &Device,
) -> candle_core::Result<(Tensor, Option<Tensor>)> {
    let mask: Vec<f32> = wanted.iter().map(|value| f32::from(u8::from(!value.is_nan()))).collect();
    let mask = mask.contains(&0.0).then(|| Tensor::from_vec(mask, shape, device)).transpose()?;
    wanted.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = 0.0);
    Ok((Tensor::from_vec(wanted, shape, device)?, mask))
}

/// Principal components of the images: (504, count).
fn leading_components(pixels: &[f32], count: usize, device: &Device) -> Result<Tensor, FitError> {
    let rows = Mat::from_fn(pixels.len() / PIXELS, PIXELS, |row, pixel| f64::from(pixels[row * PIXELS + pixel]));
    let components = principal_components(rows.as_ref(), count).map_err(|_| FitError::Diverged(0))?;
    let at = (0..PIXELS).flat_map(|pixel| (0..count).map(move |column| (pixel, column)));
    Ok(Tensor::from_vec(at.map(|at| components[at] as f32).collect::<Vec<f32>>(), (PIXELS, count), device)?)
}

/// Edges of each feature's quantile bins over the training rows.
fn quantile_edges(material: &Material, bins: usize) -> Vec<Vec<f32>> {
    let edges = |column: usize| {
        let mut values: Vec<f32> = material.row.iter().skip(column).step_by(material.width()).copied().collect();
        values.sort_by(f32::total_cmp);
        let last = values.len().saturating_sub(1) as f64;
        let quantile = |bin: usize| {
            let place = last * bin as f64 / bins as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract() as f32
        };
        (0..=bins).map(quantile).collect()
    };
    (0..material.width()).map(edges).collect()
}

/// The reference cohort's inputs, scaled.
struct Reference {
    row: Tensor,
    pixels: Option<Tensor>,
}

impl Reference {
    fn choose(
        plan: &Training,
        material: &Material,
        config: &McvnConfig,
        seed: u64,
        row: &Tensor,
        pixels: Option<&Tensor>,
    ) -> Result<Option<Self>, FitError> {
        if config.architecture.attention != AttentionMode::Reference {
            return Ok(None);
        }
        let mut rng = rng(seed, "cohort");
        let chosen = medoids(&material.row, material.width(), plan.cohort, &mut rng);
        let chosen: Vec<u32> = chosen.into_iter().map(|index| index as u32).collect();
        let chosen = Tensor::new(chosen, row.device())?;
        let pixels = pixels.map(|pixels| pixels.index_select(&chosen, 0)).transpose()?;
        Ok(Some(Self { row: row.index_select(&chosen, 0)?, pixels }))
    }
}

/// Which rows the next step sees: shuffled epochs, always full batches.
struct Batches {
    size: usize,
    count: usize,
    order: Vec<usize>,
    rng: ChaCha8Rng,
}

impl Batches {
    fn new(count: usize, size: Option<usize>, seed: u64) -> Self {
        Self { size: size.unwrap_or(count).min(count), count, order: Vec::new(), rng: rng(seed, "batches") }
    }

    /// `None` where every step sees all rows.
    fn next(&mut self) -> Option<Vec<u32>> {
        if self.size == self.count {
            return None;
        }
        if self.order.len() < self.size {
            self.order = shuffled(self.count, &mut self.rng);
        }
        let rest = self.order.split_off(self.order.len() - self.size);
        Some(rest.into_iter().map(|row| row as u32).collect())
    }
}
