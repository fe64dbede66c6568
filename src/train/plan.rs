//! Plans which members are trained on which rows, and trains a single member. The families of a recipe become tasks
//! here; [`super::fit()`] assembles the results.

use std::ops::ControlFlow;

use candle_core::Device;

use crate::data::{BoostingRecipe, ForestRecipe, GpRecipe, MemberRecipe, Recipe, TeacherRecipe, Training};
use crate::model::{Architecture, AttentionMode, McvnConfig, MemberKind, MemberSpec};
use crate::train::error::FitError;
use crate::train::learners::boosting::boost;
use crate::train::learners::forest::grow_forest;
use crate::train::learners::gp::train_kernel;
use crate::train::learners::network::train_network;
use crate::train::learners::teacher::Taught;
use crate::train::trained::TrainedMember;
use crate::train::training_set::TrainingSet;

/// Number of trees of a forest that is grown only for calibration.
const CALIBRATION_TREES: usize = 12;

/// A member to train on one part of the rows (part 0: all rows).
pub(in crate::train) struct Task<'a> {
    pub(in crate::train) part: usize,
    family: usize,
    outputs: Vec<usize>,
    pub(in crate::train) seed: u64,
    method: Method<'a>,
}

pub(in crate::train) enum Method<'a> {
    Network(McvnConfig, &'a Training),
    Kernel(&'a GpRecipe),
    Forest(&'a ForestRecipe),
    Boosting(&'a BoostingRecipe),
}

/// Least number of rows with measured outputs for a Gaussian process or trees. With fewer, the family does not predict
/// these outputs.
pub(in crate::train) const LEAST_MEASURED: usize = 2;

/// The members for one part of the rows: networks with several seeds and, for each other family, one member for each
/// set of outputs that were measured on the same rows. For calibration one network per family is enough.
pub(in crate::train) fn plan<'a>(
    recipe: &'a Recipe,
    set: &TrainingSet,
    sets: &[Vec<usize>],
    part: usize,
    seed: u64,
) -> Vec<Task<'a>> {
    let all: Vec<usize> = (0..set.schema.outputs.width()).collect();
    let networks = |family: usize, architecture: &Architecture, training: &'a Training| {
        let parts: Vec<Vec<usize>> = match training.one_net_per_target {
            true => all.iter().map(|output| vec![*output]).collect(),
            false => vec![all.clone()],
        };
        let least = recipe.calibration_networks().filter(|_| part > 0);
        let members = least.unwrap_or(training.members);
        let network = |outputs: Vec<usize>| {
            let (row_features, mut architecture) = (set.width(), architecture.clone());
            if training.references == Some(0) && architecture.attention == AttentionMode::Residual {
                architecture.attention = AttentionMode::None;
            }
            let config = McvnConfig { row_features, outputs: outputs.len(), architecture };
            Task { part, family, outputs, seed: 0, method: Method::Network(config, training) }
        };
        (0..members).flat_map(|_| parts.clone()).map(network).collect::<Vec<_>>()
    };
    let mut tasks = networks(0, &recipe.network.architecture(), &recipe.training);
    for (index, member) in recipe.committee.iter().enumerate() {
        let family = index + 1;
        match member {
            MemberRecipe::Network(own) => tasks.extend(networks(family, &own.network, &own.training)),
            _ => tasks.extend(others(member, family, sets, part)),
        }
    }
    for (index, task) in tasks.iter_mut().enumerate() {
        task.seed = seed.wrapping_mul(1000).wrapping_add((part * 100 + index) as u64);
    }
    tasks
}

/// The members of a family other than networks: one for each set of outputs that were measured on the same rows.
pub(in crate::train) fn others<'a>(
    member: &'a MemberRecipe,
    family: usize,
    sets: &[Vec<usize>],
    part: usize,
) -> Vec<Task<'a>> {
    let task = |outputs: &Vec<usize>| {
        let method = match member {
            MemberRecipe::Network(_) => return None,
            MemberRecipe::Gp(own) => Method::Kernel(own),
            MemberRecipe::Forest(own) => Method::Forest(own),
            MemberRecipe::Boosting(own) => Method::Boosting(own),
        };
        Some(Task { part, family, outputs: outputs.clone(), seed: 0, method })
    };
    sets.iter().filter_map(task).collect()
}

/// Trains one member, on measured rows and, for a network, also on rows labelled by the teacher.
pub(in crate::train) fn train_member(
    task: &Task,
    (set, taught): (&TrainingSet, Option<(&Taught, &TeacherRecipe)>),
    device: &Device,
    observe: &dyn Fn(usize, usize, f64) -> ControlFlow<()>,
) -> Result<TrainedMember, FitError> {
    let learned = set.of_outputs(&task.outputs);
    let set = &*learned;
    let (model, tensors) = match &task.method {
        Method::Network(config, training) => {
            config.check()?;
            let observe = |step, loss| observe(step, training.steps, loss);
            let tensors = train_network(training, (set, taught), config, &task.outputs, task.seed, device, &observe)?;
            (MemberKind::Network(config.clone()), tensors)
        }
        Method::Kernel(own) => {
            let observe = |step, loss| observe(step, own.steps, loss);
            let (config, tensors) = train_kernel(own, set, &task.outputs, task.seed, &observe)?;
            (MemberKind::Gp(config), tensors)
        }
        Method::Forest(own) => {
            let trees = if task.part == 0 { own.trees } else { own.trees.min(CALIBRATION_TREES) };
            let (config, tensors) = grow_forest(own, trees, set, &task.outputs, task.seed)?;
            if observe(1, 1, 0.0).is_break() {
                return Err(FitError::Cancelled);
            }
            (MemberKind::Forest(config), tensors)
        }
        Method::Boosting(own) => {
            let (config, tensors) = boost(own, set, &task.outputs, task.seed)?;
            if observe(1, 1, 0.0).is_break() {
                return Err(FitError::Cancelled);
            }
            (MemberKind::Forest(config), tensors)
        }
    };
    Ok((MemberSpec { family: task.family, outputs: task.outputs.clone(), seed: task.seed, model }, tensors))
}
