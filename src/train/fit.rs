//! The training loop: a recipe, a data set and the rows to train on become a bundle.
//!
//! Its own because it is the one place where a network meets outcomes. Everything random comes from the
//! seed, so the same seed gives the same bytes; members train side by side on threads of their own, each
//! with a generator of its own. An observer sees every step and can stop the whole.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, ops};
use rand_chacha::ChaCha8Rng;

use super::cohort::medoids;
use super::dataset::{Dataset, Outcome};
use super::optimizer::AdamW;
use super::parallel::run_all;
use super::recipe::{Recipe, ScalingKind, Training};
use crate::domain::{Outputs, Schema};
use crate::featurize::{
    ColumnStatistics, Features, PIXELS, Scaler, StandardScaler, featurize, featurizer_version, row_width,
};
use crate::model::{
    Attend, AttentionMode, BundleError, Cohort, ConfigError, DataRecord, Dropout, MANIFEST_FORMAT, Manifest, Mcvn,
    McvnConfig, MemberSpec, Pass, Scaling, SeededParameters, encode_weights, rng, sha256_hex, shuffled,
};

/// Why training ended without a bundle.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The observer asked for it.
    #[error("training was cancelled")]
    Cancelled,
    /// The loss became NaN or infinite.
    #[error("training diverged at step {0}: lower the learning rate")]
    Diverged(usize),
    /// The network's sizes are impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tensor library failed.
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A method that the recipe is compared with failed.
    #[error("baseline: {0}")]
    Baseline(String),
    /// The bundle could not be encoded.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// One step of one member.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Which member, from 0.
    pub member: usize,
    /// How many there are.
    pub members: usize,
    /// Steps done by this member.
    pub step: usize,
    /// Steps it will do.
    pub steps: usize,
    /// Loss of the step.
    pub loss: f64,
}

/// Sees the progress of all members, from their threads; `Break` stops the training.
pub type Observer<'a> = &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync);

/// What the caller decides besides the recipe.
#[derive(Clone, Debug)]
pub struct FitOptions {
    /// Seed of everything random.
    pub seed: u64,
    /// Members trained side by side (on a CPU).
    pub threads: usize,
    /// Where the tensors live.
    pub device: Device,
    /// Name of the data file, for the record.
    pub data_file: String,
    /// RFC 3339 time for the record.
    pub created: Option<String>,
}

/// A trained bundle, in memory.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Its manifest.
    pub manifest: Manifest,
    /// The bytes of its weights.
    pub weights: Vec<u8>,
}

/// Trains on some rows of a data set.
///
/// # Errors
/// [`FitError`]; nothing is written anywhere in any case.
pub fn fit(
    recipe: &Recipe,
    data: &Dataset,
    rows: &[usize],
    options: &FitOptions,
    observe: Observer,
) -> Result<Trained, FitError> {
    let schema = data.schema(recipe, rows);
    let material = Material::prepare(recipe, data, rows, &schema);
    let members = plan_members(recipe, &schema, row_width(&schema, &recipe.features), options.seed);
    for member in &members {
        member.network.check()?;
    }
    let trained = train_members(recipe, &material, &members, options, observe)?;
    let weights = encode_weights(&trained)?;
    let weights_sha256 = sha256_hex(&weights);
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        name: recipe.name.clone(),
        version: weights_sha256.chars().take(12).collect(),
        title: recipe.title.clone(),
        route: recipe.route.clone(),
        default: recipe.default,
        created: options.created.clone(),
        featurizer: featurizer_version(),
        features: recipe.features.clone(),
        scaling: material.scaling,
        members,
        training: serde_json::to_value(&recipe.training).unwrap_or_default(),
        data: DataRecord {
            file: options.data_file.clone(),
            sha256: data.sha256.clone(),
            rows: rows.len(),
            groups: data.count_groups(rows),
            citation: recipe.citation.clone(),
            row_digests: data.digests(&schema, rows),
        },
        evaluation: Vec::new(),
        weights_sha256,
        schema,
    };
    Ok(Trained { manifest, weights })
}

/// Which networks to train: `members` seeds, times one per target where the recipe asks for it.
fn plan_members(recipe: &Recipe, schema: &Schema, row_features: usize, seed: u64) -> Vec<MemberSpec> {
    let all: Vec<usize> = (0..schema.outputs.width()).collect();
    let parts: Vec<Vec<usize>> = match recipe.training.one_net_per_target {
        true => all.iter().map(|output| vec![*output]).collect(),
        false => vec![all],
    };
    let member = |(index, outputs): (usize, &Vec<usize>)| MemberSpec {
        network: McvnConfig { row_features, outputs: outputs.len(), architecture: recipe.network.architecture() },
        outputs: outputs.clone(),
        seed: seed.wrapping_mul(1000).wrapping_add(index as u64),
    };
    let repeated = (0..recipe.training.members).flat_map(|_| parts.iter());
    repeated.enumerate().map(member).collect()
}

/// Training rows as scaled numbers.
struct Material {
    scaling: Scaling,
    count: usize,
    row: Vec<f32>,
    pixels: Option<Vec<f32>>,
    outcomes: Outcomes,
}

enum Outcomes {
    /// Standardised, row by row.
    Values {
        values: Vec<f32>,
        width: usize,
    },
    Classes {
        classes: Vec<usize>,
        count: usize,
    },
}

impl Material {
    fn prepare(recipe: &Recipe, data: &Dataset, rows: &[usize], schema: &Schema) -> Self {
        let featurized: Vec<Features> =
            rows.iter().map(|row| featurize(&data.samples[*row], schema, &recipe.features)).collect();
        let width = row_width(schema, &recipe.features);
        let row_scaler = scaler(recipe.scaling.row, width, featurized.iter().map(|features| features.row.as_slice()));
        let images = || featurized.iter().filter_map(|features| features.pixels.as_ref()).map(|p| p.as_slice());
        let pixel_scaler = recipe.features.image.map(|_| scaler(recipe.scaling.image, PIXELS, images()));
        let mut row = Vec::with_capacity(rows.len() * width);
        featurized.iter().for_each(|features| row_scaler.extend(&features.row, &mut row));
        let pixels = pixel_scaler.as_ref().map(|scaler| {
            let mut pixels = Vec::with_capacity(rows.len() * PIXELS);
            images().for_each(|image| scaler.extend(image, &mut pixels));
            pixels
        });
        let (outcomes, targets) = outcomes(data, rows, &schema.outputs);
        let scaling = Scaling { row: row_scaler, pixels: pixel_scaler, targets };
        Self { scaling, count: rows.len(), row, pixels, outcomes }
    }

    /// (rows, N)
    fn row_tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_slice(&self.row, (self.count, self.scaling.row.width()), device)
    }

    /// (rows, 504)
    fn pixel_tensor(&self, device: &Device) -> candle_core::Result<Option<Tensor>> {
        self.pixels.as_ref().map(|pixels| Tensor::from_slice(pixels, (self.count, PIXELS), device)).transpose()
    }

    /// (rows, outputs): standardised targets of some outputs, or smoothed class probabilities.
    fn outcome_tensor(&self, outputs: &[usize], smoothing: f64, device: &Device) -> candle_core::Result<Tensor> {
        let wanted: Vec<f32> = match &self.outcomes {
            Outcomes::Values { values, width } => {
                values.chunks(*width).flat_map(|row| outputs.iter().map(|output| row[*output])).collect()
            }
            Outcomes::Classes { classes, count } => {
                let share = smoothing / *count as f64;
                let probability = |class: usize, own: usize| if class == own { 1.0 - smoothing + share } else { share };
                classes.iter().flat_map(|own| (0..*count).map(|class| probability(class, *own) as f32)).collect()
            }
        };
        Tensor::from_vec(wanted, (self.count, outputs.len()), device)
    }
}

fn scaler<'a>(kind: ScalingKind, width: usize, rows: impl IntoIterator<Item = &'a [f64]>) -> Scaler {
    let statistics = ColumnStatistics::over(width, rows);
    match kind {
        ScalingKind::Standard { clip } => Scaler::standard(&statistics, clip),
        ScalingKind::MinMax => Scaler::min_max(&statistics, 1.0, false),
        ScalingKind::Grey => Scaler::min_max(&statistics, 255.0, true),
    }
}

fn outcomes(data: &Dataset, rows: &[usize], outputs: &Outputs) -> (Outcomes, Option<StandardScaler>) {
    match outputs {
        Outputs::Classification { classes: names } => {
            let class = |row: &usize| match &data.outcomes[*row] {
                Outcome::Class(class) => *class,
                Outcome::Values(_) => 0,
            };
            (Outcomes::Classes { classes: rows.iter().map(class).collect(), count: names.len() }, None)
        }
        Outputs::Regression { targets } => {
            let measured = || {
                rows.iter().filter_map(|row| match &data.outcomes[*row] {
                    Outcome::Values(values) => Some(values.as_slice()),
                    Outcome::Class(_) => None,
                })
            };
            let scaler = StandardScaler::fit(&ColumnStatistics::over(targets.len(), measured()));
            let scaled = |row: &[f64]| {
                row.iter().enumerate().map(|(target, value)| scaler.scale(target, *value) as f32).collect::<Vec<_>>()
            };
            let values = measured().flat_map(scaled).collect();
            (Outcomes::Values { values, width: targets.len() }, Some(scaler))
        }
    }
}

type TrainedMember = (BTreeMap<String, Tensor>, Option<Cohort>);

/// Trains the members, several at a time; the results stand in the order of the members.
fn train_members(
    recipe: &Recipe,
    material: &Material,
    members: &[MemberSpec],
    options: &FitOptions,
    observe: Observer,
) -> Result<Vec<TrainedMember>, FitError> {
    // One GPU is kept busy by one thread; a second would only queue behind it.
    let threads = if options.device.is_cpu() { options.threads } else { 1 };
    run_all(members.len(), threads, |index, stop| {
        let observe = |step, loss| {
            let progress = Progress { member: index, members: members.len(), step, steps: recipe.training.steps, loss };
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { observe(progress) }
        };
        train_member(&recipe.training, material, &members[index], &options.device, &observe)
    })
}

fn train_member(
    plan: &Training,
    material: &Material,
    member: &MemberSpec,
    device: &Device,
    observe: &dyn Fn(usize, f64) -> ControlFlow<()>,
) -> Result<TrainedMember, FitError> {
    let parameters = SeededParameters::new(member.seed);
    let vb = VarBuilder::from_backend(Box::new(parameters.clone()), DType::F32, device.clone());
    let network = Mcvn::new(member.network.clone(), vb)?;
    let mut optimizer = AdamW::new(parameters.variables(), plan)?;
    let mut dropout = Dropout::new(member.network.architecture.dropout, member.seed);
    let mut batches = Batches::new(material.count, plan.batch, member.seed);

    let (row, pixels) = (material.row_tensor(device)?, material.pixel_tensor(device)?);
    let wanted = material.outcome_tensor(&member.outputs, plan.label_smoothing, device)?;
    let cohort = Reference::choose(plan, material, member, &row, pixels.as_ref())?;
    for step in 0..plan.steps {
        let (mut row, mut pixels, mut wanted) = (row.clone(), pixels.clone(), wanted.clone());
        if let Some(batch) = batches.next() {
            let batch = Tensor::from_vec(batch, batches.size, device)?;
            row = row.index_select(&batch, 0)?;
            pixels = pixels.map(|pixels| pixels.index_select(&batch, 0)).transpose()?;
            wanted = wanted.index_select(&batch, 0)?;
        }
        let count = row.dim(0)?;
        let attend = match (&cohort, member.network.architecture.attention) {
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
        let loss = match material.outcomes {
            Outcomes::Values { .. } => (outputs - wanted)?.sqr()?.mean_all()?,
            Outcomes::Classes { .. } => (wanted * ops::log_softmax(&outputs, 1)?)?.sum(1)?.mean_all()?.neg()?,
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
    let parameters = optimizer.finish()?;
    let cohort = cohort.map(|cohort| network.condense(&cohort.row, cohort.pixels.as_ref())).transpose()?;
    Ok((parameters, cohort))
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
        member: &MemberSpec,
        row: &Tensor,
        pixels: Option<&Tensor>,
    ) -> Result<Option<Self>, FitError> {
        if member.network.architecture.attention != AttentionMode::Reference {
            return Ok(None);
        }
        let mut rng = rng(member.seed, "cohort");
        let chosen = medoids(&material.row, material.scaling.row.width(), plan.cohort, &mut rng);
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
