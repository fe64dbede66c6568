//! The training loop of a network.
//!
//! All randomness comes from the member's seed, so the same seed gives the same bytes. An observer is called at every
//! step and can stop the training.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use faer::Mat;

use crate::data::{TeacherRecipe, Training};
use crate::featurize::PIXELS;
use crate::model::{
    Dropout, Mcvn, McvnConfig, MemberTensors, Pass, SeededParameters, component_buffer, encoding_buffers,
};
use crate::train::error::FitError;
use crate::train::learners::lesson::Lessons;
use crate::train::learners::linalg::principal_components;
use crate::train::learners::optimizer::AdamW;
use crate::train::learners::teacher::Taught;
use crate::train::training_set::TrainingSet;

/// Trains a network for some outputs.
pub(in crate::train) fn train_network(
    plan: &Training,
    (set, taught): (&TrainingSet, Option<(&Taught, &TeacherRecipe)>),
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
        for (name, buffer) in encoding_buffers(&quantile_edges(set, bins), device)? {
            if let Some(variable) = parameters.variables().get(&name) {
                variable.set(&buffer)?;
            }
        }
    }
    if let (Some(count), Some(pixels)) =
        (config.architecture.image.as_ref().and_then(|image| image.components), &set.pixels)
    {
        let (name, buffer) = component_buffer(&leading_components(pixels, count, device)?)?;
        if let Some(variable) = parameters.variables().get(&name) {
            variable.set(&buffer)?;
        }
    }
    let mut optimizer = AdamW::new(parameters.variables(), plan)?;
    let mut dropout = Dropout::new(config.architecture.dropout, seed);
    let image = config.architecture.image.is_some();
    let mut lessons = Lessons::new(plan, (set, taught), (outputs, image), config, seed, device)?;
    for step in 0..plan.steps {
        let lesson = lessons.next()?;
        let mut pass = Pass { attend: lesson.attend(&lessons), training: Some(&mut dropout) };
        let outputs = network.forward(&lesson.row, lesson.pixels.as_ref(), &mut pass)?;
        let loss = lesson.loss(&outputs, &lessons)?;
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
    tensors.extend(lessons.memory(&network)?);
    Ok(tensors)
}

/// Principal components of the images: (504, count).
fn leading_components(pixels: &[f32], count: usize, device: &Device) -> Result<Tensor, FitError> {
    let rows = Mat::from_fn(pixels.len() / PIXELS, PIXELS, |row, pixel| f64::from(pixels[row * PIXELS + pixel]));
    let components = principal_components(rows.as_ref(), count).map_err(|_| FitError::Diverged(0))?;
    let at = (0..PIXELS).flat_map(|pixel| (0..count).map(move |column| (pixel, column)));
    Ok(Tensor::from_vec(at.map(|at| components[at] as f32).collect::<Vec<f32>>(), (PIXELS, count), device)?)
}

/// Edges of the quantile bins of each feature over the training rows.
fn quantile_edges(set: &TrainingSet, bins: usize) -> Vec<Vec<f32>> {
    let edges = |column: usize| {
        let mut values: Vec<f32> = set.row.iter().skip(column).step_by(set.width()).copied().collect();
        values.sort_by(f32::total_cmp);
        let last = values.len().saturating_sub(1) as f64;
        let quantile = |bin: usize| {
            let place = last * bin as f64 / bins as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract() as f32
        };
        (0..=bins).map(quantile).collect()
    };
    (0..set.width()).map(edges).collect()
}
