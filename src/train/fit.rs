//! Training: turns a recipe, a data set and the rows to train on into a bundle.
//!
//! The phases are: rows are scaled, members planned, teachers fitted, members trained in parallel, ensembles assembled,
//! and the final one is calibrated. In addition to the final ensemble, a smaller one is trained for each fold, without
//! the groups of the fold. Their predictions for the held-out rows calibrate the final ensemble (see
//! [`super::calibrate`]). All randomness comes from the seed, so the same seed gives the same bytes. An observer is
//! called at every step and can stop the training.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Device;

use crate::data::{Dataset, Protocol, Recipe, Split, calibration_regions, draw_folds, draw_mixed_folds};
use crate::featurize::Scaler;
use crate::model::Scaling;
use crate::train::calibrate::{HeldOut, Measured, PartKind, calibrate};
use crate::train::error::FitError;
use crate::train::learners::teacher::Taught;
use crate::train::parallel::run_all;
use crate::train::plan::{LEAST_MEASURED, Task, others, plan, train_member};
use crate::train::progress::{Observer, Progress};
use crate::train::trained::{FitOptions, Trained, TrainedMember, assemble};
use crate::train::training_set::TrainingSet;

/// Trains on some rows of a data set.
///
/// # Errors
/// [`FitError`]. Nothing is written to disk.
pub fn fit(
    recipe: &Recipe,
    data: &Dataset,
    rows: &[usize],
    options: &FitOptions,
    observe: Observer,
) -> Result<Trained, FitError> {
    let joined = data.joined();
    let (data, rows) = (&*joined, joined.and_evidence(rows));
    let (protocol, folds) = held_out_parts(recipe, data, &rows, options.seed);
    let fitting = Fitting { recipe, data, options, observe, parts: prepare(recipe, data, &rows, &folds)? };
    let tasks = fitting.plan();
    let taught = fitting.teach_all(&tasks)?;
    let members = fitting.train_all(&tasks, &taught)?;
    let (mut whole, held_out) = fitting.assemble_all(members, &folds)?;
    if !held_out.is_empty() {
        let measured = Measured {
            shares: &recipe.shares(),
            targets: &recipe.targets,
            scaler: whole.manifest.scaling.targets.as_ref(),
            inputs: fitting.parts.first().and_then(|part| part.set.inputs.as_ref()),
        };
        let (gate, calibration) = calibrate(&measured, data, protocol, &held_out);
        whole.manifest.gate = gate;
        whole.manifest.calibration = Some(calibration);
    }
    // This must come last, because the digest covers all fields above.
    whole.manifest.version = whole.manifest.digest()?.chars().take(VERSION_DIGITS).collect();
    Ok(whole)
}

/// Rows for training one ensemble: first all rows, then those outside each fold.
struct Part<'a> {
    rows: &'a [usize],
    set: TrainingSet,
    /// Outputs in sets that were measured on the same rows.
    output_sets: Vec<Vec<usize>>,
}

/// The data shared by all phases.
struct Fitting<'a> {
    recipe: &'a Recipe,
    data: &'a Dataset,
    options: &'a FitOptions,
    observe: Observer<'a>,
    parts: Vec<Part<'a>>,
}

/// Scales the rows of each part separately.
fn prepare<'a>(
    recipe: &Recipe,
    data: &Dataset,
    rows: &'a [usize],
    folds: &'a [(PartKind, Split)],
) -> Result<Vec<Part<'a>>, FitError> {
    let part = |rows: &'a [usize]| Part {
        rows,
        set: TrainingSet::prepare(recipe, data, rows),
        output_sets: data.output_sets(rows, LEAST_MEASURED),
    };
    let parts: Vec<Part> = std::iter::once(rows).chain(folds.iter().map(|(_, fold)| &*fold.train)).map(part).collect();
    if parts.iter().all(|part| is_finite(&part.set.scaling)) { Ok(parts) } else { Err(FitError::TooLarge) }
}

impl<'a> Fitting<'a> {
    /// The members of all parts, those of the final ensemble first.
    fn plan(&self) -> Vec<Task<'a>> {
        let of_part =
            |(index, part): (usize, &Part)| plan(self.recipe, &part.set, &part.output_sets, index, self.options.seed);
        self.parts.iter().enumerate().flat_map(of_part).collect()
    }

    /// Fits the teacher of each part and predicts its synthetic rows; none if the recipe has no teacher. The teacher of
    /// a fold never sees the fold.
    fn teach_all(&self, tasks: &[Task]) -> Result<Vec<Option<Taught>>, FitError> {
        let count = if self.recipe.teacher.is_some() { self.parts.len() } else { 0 };
        run_all(count, self.options.threads, |index, stop| {
            let observe = |step, steps, loss| self.show((None, tasks), (step, steps), loss, stop);
            self.teach(index, &observe)
        })
    }

    /// Trains all members in parallel.
    fn train_all(&self, tasks: &[Task], taught: &[Option<Taught>]) -> Result<Vec<Vec<TrainedMember>>, FitError> {
        // One thread keeps a GPU busy; a second one would only wait for it.
        let threads = if self.options.device.is_cpu() { self.options.threads } else { 1 };
        let taught = |part: usize| taught.get(part).and_then(Option::as_ref).zip(self.recipe.teacher.as_ref());
        let trained = run_all(tasks.len(), threads, |index, stop| {
            let part = tasks[index].part;
            let member = Some(index).filter(|_| part == 0);
            let observe = |step, steps, loss| self.show((member, tasks), (step, steps), loss, stop);
            train_member(&tasks[index], (&self.parts[part].set, taught(part)), &self.options.device, &observe)
        })?;
        let mut members: Vec<Vec<_>> = self.parts.iter().map(|_| Vec::new()).collect();
        tasks.iter().zip(trained).for_each(|(task, member)| members[task.part].push(member));
        Ok(members)
    }

    /// The final ensemble, and the predictions of the folds' ensembles for their held-out rows.
    fn assemble_all(
        &self,
        members: Vec<Vec<TrainedMember>>,
        folds: &[(PartKind, Split)],
    ) -> Result<(Trained, Vec<HeldOut>), FitError> {
        let assemble = |(part, members): (&Part, Vec<TrainedMember>)| {
            assemble(self.recipe, (self.data, part.rows), &part.set, members, self.options)
        };
        let mut assembled = self.parts.iter().zip(members).map(assemble);
        let whole = assembled.next().unwrap_or(Err(FitError::Cancelled))?;
        let held_out = assembled.zip(folds).enumerate().map(|(index, (trained, (kind, fold)))| {
            let inputs = self.parts[index + 1].set.inputs.as_ref();
            HeldOut::ask(&trained?, inputs, self.data, (*kind, fold), &self.options.device)
        });
        Ok((whole, held_out.collect::<Result<_, _>>()?))
    }

    /// Reports a step of a member to the observer. `member` is `None` if it is not part of the final ensemble.
    fn show(
        &self,
        (member, tasks): (Option<usize>, &[Task]),
        (step, steps): (usize, usize),
        loss: f64,
        stop: &AtomicBool,
    ) -> ControlFlow<()> {
        let members = tasks.iter().filter(|task| task.part == 0).count();
        let progress = Progress { member, members, step, steps, loss };
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { (self.observe)(progress) }
    }

    /// Fits the recipe's teacher on one part of the rows and predicts synthetic rows; `None` if it cannot predict all
    /// outputs.
    fn teach(
        &self,
        index: usize,
        observe: &dyn Fn(usize, usize, f64) -> ControlFlow<()>,
    ) -> Result<Option<Taught>, FitError> {
        let Part { rows, set, output_sets } = &self.parts[index];
        let covered = output_sets.iter().map(Vec::len).sum::<usize>() == set.schema.outputs.width();
        let Some(teacher) = self.recipe.teacher.as_ref().filter(|_| covered) else { return Ok(None) };
        let seed = self.options.seed.wrapping_mul(1000).wrapping_add(index as u64 * 100 + TEACHERS);
        // Plan as for all rows (part 0), so that a fold's teacher has the full number of trees.
        let tasks = teacher.committee.iter().enumerate().flat_map(|(family, own)| others(own, family, output_sets, 0));
        let member = |(index, mut task): (usize, Task)| {
            task.seed = seed.wrapping_add(index as u64);
            train_member(&task, (set, None), &Device::Cpu, observe)
        };
        let members = tasks.enumerate().map(member).collect::<Result<Vec<_>, _>>()?;
        let mut ensemble = assemble(self.recipe, (self.data, &[]), set, members, self.options)?;
        ensemble.manifest.families = teacher.shares();
        let ensemble = ensemble.load(&Device::Cpu)?;
        let synthetic = (teacher.samples, teacher.by_element);
        Taught::ask(&ensemble, (self.data, rows), set, &self.recipe.features, synthetic, seed).map(Some)
    }
}

/// Offset that separates the seeds of teachers from those of members.
const TEACHERS: u64 = 50;

fn is_finite(scaling: &Scaling) -> bool {
    let mut targets = scaling.targets.iter().flat_map(|targets| targets.mean.iter().chain(&targets.deviation));
    scaling.row.is_sound() && scaling.pixels.iter().all(Scaler::is_sound) && targets.all(|number| number.is_finite())
}

/// Digits of the digest used as the name of a version.
const VERSION_DIGITS: usize = 12;

/// The parts of the rows (given by their indices in the data) to hold out in turn: folds, and for a regression regions.
/// Empty if the recipe wants none or there are too few rows.
fn held_out_parts(recipe: &Recipe, data: &Dataset, rows: &[usize], seed: u64) -> (Protocol, Vec<(PartKind, Split)>) {
    let (protocol, folds) = calibration_folds(recipe, data, rows, seed);
    let regions = if folds.is_empty() { Vec::new() } else { calibration_regions(recipe, data, rows) };
    // If a target was measured in a region only, the other rows cannot predict it.
    let regions = regions.into_iter().map(|region| region.split).filter(|split| teaches(recipe, data, split));
    let folds = folds.into_iter().map(|fold| (PartKind::Fold, fold));
    let regions: Vec<(PartKind, Split)> = regions.map(|region| (PartKind::Region, region)).collect();
    (protocol, folds.chain(regions).collect())
}

/// Whether the training rows of a split have all targets.
fn teaches(recipe: &Recipe, data: &Dataset, split: &Split) -> bool {
    let measured = |target: usize| split.train.iter().any(|row| data.labels[*row].value(target).is_some());
    (0..recipe.targets.len()).all(measured)
}

/// Folds of the rows to hold out in turn.
fn calibration_folds(recipe: &Recipe, data: &Dataset, rows: &[usize], seed: u64) -> (Protocol, Vec<Split>) {
    let groups: Vec<String> = rows.iter().map(|row| data.groups[*row].clone()).collect();
    let draw = |protocol| {
        let folds = match protocol {
            Protocol::Grouped if recipe.class.is_none() => draw_mixed_folds(&groups, recipe.calibration.folds, seed)?,
            _ => draw_folds(&groups, protocol, recipe.calibration.folds, seed)?,
        };
        let in_data = |part: Vec<usize>| part.into_iter().map(|index| rows[index]).collect();
        let split = |fold: Split| Split { train: in_data(fold.train), test: in_data(fold.test) };
        Some((protocol, folds.into_iter().map(split).collect()))
    };
    // If a target was measured in only one fold, the other folds cannot predict it.
    let teaching = |(_, folds): &(Protocol, Vec<Split>)| folds.iter().all(|fold| teaches(recipe, data, fold));
    let grouped = draw(Protocol::Grouped).filter(teaching);
    grouped.or_else(|| draw(Protocol::Random)).unwrap_or((Protocol::Grouped, Vec::new()))
}
