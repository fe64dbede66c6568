//! Training: a recipe, a data set and the rows to train on become a bundle.
//!
//! Its own because this is where a committee is put together. Everything random comes from the seed, so the same
//! seed gives the same bytes; members train side by side on threads of their own. Beside the committee that is kept,
//! a smaller one is trained for each fold of the rows without the fold's groups: what those say of the rows that
//! they have not seen calibrates the whole (see [`super::calibrate`]). An observer sees every step and can stop all.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use candle_core::Device;

use super::boosting::boost;
use super::calibrate::{HeldOut, calibrate};
use super::committee::{BoostingPartner, ForestPartner, KernelPartner, Partner, Training};
use super::dataset::Dataset;
use super::folds::{Protocol, draw_folds};
use super::forest::grow_forest;
use super::kernel::train_kernel;
use super::material::Material;
use super::network::train_network;
use super::parallel::run_all;
use super::recipe::Recipe;
use super::split::Split;
use crate::featurize::{Scaler, featurizer_version};
use crate::model::{
    Architecture, Bundle, BundleError, ConfigError, DataRecord, MANIFEST_FORMAT, Manifest, McvnConfig, MemberKind,
    MemberSpec, MemberTensors, Scaling, encode_weights, sha256_hex,
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
    /// Numbers whose squares overflow.
    #[error("a column's numbers are too large to be scaled: give it in a larger unit")]
    TooLarge,
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
    /// Which member, from 0; `None` for one that is trained for calibration and not kept.
    pub member: Option<usize>,
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
    let (protocol, folds) = calibration_folds(recipe, data, rows, options.seed);
    let parts: Vec<&[usize]> = std::iter::once(rows).chain(folds.iter().map(|fold| fold.train.as_slice())).collect();
    let materials: Vec<Material> = parts.iter().map(|rows| Material::prepare(recipe, data, rows)).collect();
    if !materials.iter().all(|material| is_finite(&material.scaling)) {
        return Err(FitError::TooLarge);
    }
    let sets: Vec<_> = parts.iter().map(|rows| data.output_sets(rows, LEAST_MEASURED)).collect();
    let plans = |part: usize| plan(recipe, &materials[part], &sets[part], part, options.seed);
    let tasks: Vec<Task> = (0..parts.len()).flat_map(plans).collect();
    let kept = tasks.iter().filter(|task| task.part == 0).count();
    // One GPU is kept busy by one thread; a second would only queue behind it.
    let threads = if options.device.is_cpu() { options.threads } else { 1 };
    let trained = run_all(tasks.len(), threads, |index, stop| {
        let observe = |step, steps, loss| {
            let progress =
                Progress { member: Some(index).filter(|index| *index < kept), members: kept, step, steps, loss };
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { observe(progress) }
        };
        train_member(&tasks[index], &materials[tasks[index].part], &options.device, &observe)
    })?;
    let mut members: Vec<Vec<_>> = parts.iter().map(|_| Vec::new()).collect();
    tasks.iter().zip(trained).for_each(|(task, member)| members[task.part].push(member));
    let mut bundles = parts.iter().zip(&materials).zip(members);
    let mut assembled =
        bundles.by_ref().map(|((rows, material), members)| assemble(recipe, data, rows, material, members, options));
    let mut whole = assembled.next().unwrap_or_else(|| Err(FitError::Cancelled))?;
    let held_out = assembled.zip(&folds).map(|(trained, fold)| HeldOut::ask(&trained?, data, fold, &options.device));
    let held_out = held_out.collect::<Result<Vec<_>, FitError>>()?;
    if !held_out.is_empty() {
        let (gate, calibration) = calibrate(&recipe.shares(), &recipe.targets, data, protocol, &held_out);
        whole.manifest.gate = gate;
        whole.manifest.calibration = Some(calibration);
    }
    // Last: it covers all of the above.
    whole.manifest.version = whole.manifest.digest()?.chars().take(VERSION_DIGITS).collect();
    Ok(whole)
}

fn is_finite(scaling: &Scaling) -> bool {
    let mut targets = scaling.targets.iter().flat_map(|targets| targets.mean.iter().chain(&targets.deviation));
    scaling.row.is_sound() && scaling.pixels.iter().all(Scaler::is_sound) && targets.all(|number| number.is_finite())
}

/// Digits kept of the digest that names a version.
const VERSION_DIGITS: usize = 12;

/// Folds of the rows, given by their numbers in the data, to hold out in turn; none where the recipe wants none or
/// the rows are too few.
fn calibration_folds(recipe: &Recipe, data: &Dataset, rows: &[usize], seed: u64) -> (Protocol, Vec<Split>) {
    let groups: Vec<String> = rows.iter().map(|row| data.groups[*row].clone()).collect();
    let draw = |protocol| {
        let folds = draw_folds(&groups, protocol, recipe.calibration.folds, seed)?;
        let in_data = |part: Vec<usize>| part.into_iter().map(|index| rows[index]).collect();
        let split = |fold: Split| Split { train: in_data(fold.train), test: in_data(fold.test) };
        Some((protocol, folds.into_iter().map(split).collect()))
    };
    // Where a target was measured in one fold alone, what the others learned says nothing of it.
    let measured = |fold: &Split, target| fold.train.iter().any(|row| data.outcomes[*row].value(target).is_some());
    let teaches = |(_, folds): &(Protocol, Vec<Split>)| {
        folds.iter().all(|fold| (0..recipe.targets.len()).all(|target| measured(fold, target)))
    };
    let grouped = draw(Protocol::Grouped).filter(teaches);
    grouped.or_else(|| draw(Protocol::Random)).unwrap_or((Protocol::Grouped, Vec::new()))
}

/// Trees of a forest that is grown for calibration only.
const CALIBRATION_TREES: usize = 12;

/// One member to train on one part of the rows (0: all of them).
struct Task<'a> {
    part: usize,
    family: usize,
    outputs: Vec<usize>,
    seed: u64,
    method: Method<'a>,
}

enum Method<'a> {
    Network(McvnConfig, &'a Training),
    Kernel(&'a KernelPartner),
    Forest(&'a ForestPartner),
    Boosting(&'a BoostingPartner),
}

/// Fewer rows on which outputs were measured teach no kernel and no tree anything: their family does not give them then.
const LEAST_MEASURED: usize = 2;

/// The members for one part of the rows: networks of several seeds, and of each other family one for every set of outputs
/// that were measured on the same rows. For calibration one network of each family is enough.
fn plan<'a>(recipe: &'a Recipe, material: &Material, sets: &[Vec<usize>], part: usize, seed: u64) -> Vec<Task<'a>> {
    let all: Vec<usize> = (0..material.schema.outputs.width()).collect();
    let networks = |family: usize, architecture: &Architecture, training: &'a Training| {
        let parts: Vec<Vec<usize>> = match training.one_net_per_target {
            true => all.iter().map(|output| vec![*output]).collect(),
            false => vec![all.clone()],
        };
        let members = if part == 0 { training.members } else { 1 };
        let network = |outputs: Vec<usize>| {
            let (row_features, architecture) = (material.width(), architecture.clone());
            let config = McvnConfig { row_features, outputs: outputs.len(), architecture };
            Task { part, family, outputs, seed: 0, method: Method::Network(config, training) }
        };
        (0..members).flat_map(|_| parts.clone()).map(network).collect::<Vec<_>>()
    };
    let others = |family: usize, method: &dyn Fn() -> Method<'a>| {
        let task = |outputs: &Vec<usize>| Task { part, family, outputs: outputs.clone(), seed: 0, method: method() };
        sets.iter().map(task).collect::<Vec<_>>()
    };
    let mut tasks = networks(0, &recipe.network.architecture(), &recipe.training);
    for (index, partner) in recipe.committee.iter().enumerate() {
        let family = index + 1;
        match partner {
            Partner::Network(own) => tasks.extend(networks(family, &own.network, &own.training)),
            Partner::Kernel(own) => tasks.extend(others(family, &|| Method::Kernel(own))),
            Partner::Forest(own) => tasks.extend(others(family, &|| Method::Forest(own))),
            Partner::Boosting(own) => tasks.extend(others(family, &|| Method::Boosting(own))),
        }
    }
    for (index, task) in tasks.iter_mut().enumerate() {
        task.seed = seed.wrapping_mul(1000).wrapping_add((part * 100 + index) as u64);
    }
    tasks
}

type TrainedMember = (MemberSpec, MemberTensors);

fn train_member(
    task: &Task,
    material: &Material,
    device: &Device,
    observe: &dyn Fn(usize, usize, f64) -> ControlFlow<()>,
) -> Result<TrainedMember, FitError> {
    let learned = material.of_outputs(&task.outputs);
    let material = &*learned;
    let (model, tensors) = match &task.method {
        Method::Network(config, training) => {
            config.check()?;
            let observe = |step, loss| observe(step, training.steps, loss);
            let tensors = train_network(training, material, config, &task.outputs, task.seed, device, &observe)?;
            (MemberKind::Network(config.clone()), tensors)
        }
        Method::Kernel(own) => {
            let observe = |step, loss| observe(step, own.steps, loss);
            let (config, tensors) = train_kernel(own, material, &task.outputs, task.seed, &observe)?;
            (MemberKind::Kernel(config), tensors)
        }
        Method::Forest(own) => {
            let trees = if task.part == 0 { own.trees } else { own.trees.min(CALIBRATION_TREES) };
            let (config, tensors) = grow_forest(own, trees, material, &task.outputs, task.seed)?;
            if observe(1, 1, 0.0).is_break() {
                return Err(FitError::Cancelled);
            }
            (MemberKind::Forest(config), tensors)
        }
        Method::Boosting(own) => {
            let (config, tensors) = boost(own, material, &task.outputs, task.seed)?;
            if observe(1, 1, 0.0).is_break() {
                return Err(FitError::Cancelled);
            }
            (MemberKind::Forest(config), tensors)
        }
    };
    Ok((MemberSpec { family: task.family, outputs: task.outputs.clone(), seed: task.seed, model }, tensors))
}

/// A bundle of trained members, not calibrated and without the name of a version.
fn assemble(
    recipe: &Recipe,
    data: &Dataset,
    rows: &[usize],
    material: &Material,
    members: Vec<TrainedMember>,
    options: &FitOptions,
) -> Result<Trained, FitError> {
    let (members, tensors): (Vec<MemberSpec>, Vec<MemberTensors>) = members.into_iter().unzip();
    let weights = encode_weights(&tensors)?;
    let weights_sha256 = sha256_hex(&weights);
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        name: recipe.name.clone(),
        version: String::new(),
        title: recipe.title.clone(),
        route: recipe.route.clone(),
        default: recipe.default,
        created: options.created.clone(),
        featurizer: featurizer_version(),
        features: recipe.features.clone(),
        scaling: material.scaling.clone(),
        families: recipe.shares(),
        members,
        gate: None,
        calibration: None,
        training: serde_json::json!({
            "networks": recipe.training, "committee": recipe.committee, "calibration": recipe.calibration,
        }),
        data: DataRecord {
            file: options.data_file.clone(),
            sha256: data.sha256.clone(),
            rows: rows.len(),
            groups: data.count_groups(rows),
            citation: recipe.citation.clone(),
            row_digests: data.digests(&material.schema, rows),
        },
        evaluation: Vec::new(),
        weights_sha256,
        schema: material.schema.clone(),
    };
    Ok(Trained { manifest, weights })
}

impl Trained {
    /// The bundle as a server would load it.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn load(&self, device: &Device) -> Result<Bundle, FitError> {
        let manifest = serde_json::to_vec(&self.manifest).map_err(candle_core::Error::wrap)?;
        Ok(Bundle::load(&manifest, &self.weights, device)?)
    }
}
