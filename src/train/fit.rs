//! Training: a recipe, a data set and the rows to train on become a bundle.
//!
//! Its own because this is where a committee is put together. Everything random comes from the seed, so the same
//! seed gives the same bytes; members train side by side on threads of their own. Beside the committee that is kept,
//! a smaller one is trained for each fold of the rows without the fold's groups: what those say of the rows that
//! they have not seen calibrates the whole (see [`super::calibrate`]). An observer sees every step and can stop all.

use crate::train::error::FitError;
use crate::train::progress::{Observer, Progress};
use crate::train::trained::{FitOptions, Trained};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use candle_core::Device;

use crate::data::{Dataset, Protocol, Recipe, Split, draw_folds};
use crate::featurize::Scaler;
use crate::model::Scaling;
use crate::train::calibrate::{HeldOut, calibrate};
use crate::train::learners::teacher::Taught;
use crate::train::parallel::run_all;
use crate::train::plan::{LEAST_MEASURED, Task, others, plan, train_member};
use crate::train::trained::assemble;
use crate::train::training_set::TrainingSet;

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
    let training_sets: Vec<TrainingSet> = parts.iter().map(|rows| TrainingSet::prepare(recipe, data, rows)).collect();
    if !training_sets.iter().all(|set| is_finite(&set.scaling)) {
        return Err(FitError::TooLarge);
    }
    let sets: Vec<_> = parts.iter().map(|rows| data.output_sets(rows, LEAST_MEASURED)).collect();
    let plans = |part: usize| plan(recipe, &training_sets[part], &sets[part], part, options.seed);
    let tasks: Vec<Task> = (0..parts.len()).flat_map(plans).collect();
    let kept = tasks.iter().filter(|task| task.part == 0).count();
    // One GPU is kept busy by one thread; a second would only queue behind it.
    let threads = if options.device.is_cpu() { options.threads } else { 1 };
    // A fold's teacher never saw the fold.
    let taught = run_all(if recipe.teacher.is_some() { parts.len() } else { 0 }, options.threads, |part, stop| {
        let observe = |step, steps, loss| {
            let progress = Progress { member: None, members: kept, step, steps, loss };
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { observe(progress) }
        };
        teach(recipe, (data, parts[part]), &training_sets[part], &sets[part], part, options, &observe)
    })?;
    let taught = |part: usize| taught.get(part).and_then(Option::as_ref).zip(recipe.teacher.as_ref());
    let trained = run_all(tasks.len(), threads, |index, stop| {
        let observe = |step, steps, loss| {
            let progress =
                Progress { member: Some(index).filter(|index| *index < kept), members: kept, step, steps, loss };
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { observe(progress) }
        };
        let part = tasks[index].part;
        train_member(&tasks[index], (&training_sets[part], taught(part)), &options.device, &observe)
    })?;
    let mut members: Vec<Vec<_>> = parts.iter().map(|_| Vec::new()).collect();
    tasks.iter().zip(trained).for_each(|(task, member)| members[task.part].push(member));
    let mut bundles = parts.iter().zip(&training_sets).zip(members);
    let mut assembled =
        bundles.by_ref().map(|((rows, set), members)| assemble(recipe, (data, rows), set, members, options));
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
    let measured = |fold: &Split, target| fold.train.iter().any(|row| data.labels[*row].value(target).is_some());
    let teaches = |(_, folds): &(Protocol, Vec<Split>)| {
        folds.iter().all(|fold| (0..recipe.targets.len()).all(|target| measured(fold, target)))
    };
    let grouped = draw(Protocol::Grouped).filter(teaches);
    grouped.or_else(|| draw(Protocol::Random)).unwrap_or((Protocol::Grouped, Vec::new()))
}

/// Seeds of teachers stand apart from those of members.
const TEACHERS: u64 = 50;

/// Fits the recipe's teacher on one part of the rows and asks it; `None` where it cannot give all outputs.
fn teach(
    recipe: &Recipe,
    (data, rows): (&Dataset, &[usize]),
    set: &TrainingSet,
    sets: &[Vec<usize>],
    part: usize,
    options: &FitOptions,
    observe: &dyn Fn(usize, usize, f64) -> ControlFlow<()>,
) -> Result<Option<Taught>, FitError> {
    let covered = sets.iter().map(Vec::len).sum::<usize>() == set.schema.outputs.width();
    let Some(teacher) = recipe.teacher.as_ref().filter(|_| covered) else { return Ok(None) };
    let seed = options.seed.wrapping_mul(1000).wrapping_add(part as u64 * 100 + TEACHERS);
    // As if for all rows: what it says in a fold is learned from, so its trees must be as many.
    let tasks = teacher.committee.iter().enumerate().flat_map(|(family, own)| others(own, family, sets, 0));
    let member = |(index, mut task): (usize, Task)| {
        task.seed = seed.wrapping_add(index as u64);
        train_member(&task, (set, None), &Device::Cpu, observe)
    };
    let members = tasks.enumerate().map(member).collect::<Result<Vec<_>, _>>()?;
    let mut committee = assemble(recipe, (data, &[]), set, members, options)?;
    committee.manifest.families = teacher.shares();
    let committee = committee.load(&Device::Cpu)?;
    let synthetic = (teacher.samples, teacher.by_element);
    Taught::ask(&committee, (data, rows), set, &recipe.features, synthetic, seed).map(Some)
}
