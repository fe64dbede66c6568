//! The rows of each training step of a network: measured rows, rows labelled by its teacher, and the rows they attend
//! to.
//!
//! It prevents leaks: a row never sees its own label, and half of the rows see no row of their group, so that the
//! network also learns to predict new groups.

use candle_core::{Device, Tensor};
use candle_nn::ops;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::data::{TeacherRecipe, Training};
use crate::model::{
    Attend, AttentionMode, HIDDEN, Mcvn, McvnConfig, Measured, PLACES, cohort_tensors, reference_tensors, rng, shuffled,
};
use crate::train::error::FitError;
use crate::train::learners::kmedoids::medoids;
use crate::train::learners::teacher::Taught;
use crate::train::training_set::TrainingSet;

/// Fraction of the rows that see no row of their group in a step.
const STRANGERS: f64 = 0.5;

/// Rows as tensors, with their targets.
#[derive(Clone)]
struct Rows {
    row: Tensor,
    pixels: Option<Tensor>,
    /// Standardised targets or class probabilities: (rows, outputs); 0 if missing.
    targets: Tensor,
    /// 1 if there is a target, else 0; `None` if there are no gaps.
    known: Option<Tensor>,
    evidence: Option<Evidence>,
}

/// What rows of evidence may be of.
#[derive(Clone)]
struct Evidence {
    /// [`HIDDEN`] for the classes that a row is not of, else 0: (rows, outputs).
    excluded: Tensor,
    /// How much a row counts; 0 if it is measured: (rows).
    weights: Tensor,
}

impl Evidence {
    /// `None` if all rows are measured.
    fn of(set: &TrainingSet, outputs: usize, device: &Device) -> candle_core::Result<Option<Self>> {
        if set.measured == set.count {
            return Ok(None);
        }
        let hidden = set.evidence().iter().map(|allowed| if *allowed { 0.0 } else { HIDDEN });
        let excluded: Vec<f32> = std::iter::repeat_n(0.0, set.measured * outputs).chain(hidden).collect();
        let weights = set.weights.iter().enumerate();
        let weights = weights.map(|(row, weight)| if row < set.measured { 0.0 } else { *weight as f32 });
        Ok(Some(Self {
            excluded: Tensor::from_vec(excluded, (set.count, outputs), device)?,
            weights: Tensor::from_vec(weights.collect::<Vec<f32>>(), set.count, device)?,
        }))
    }
}

impl Rows {
    fn new(row: Tensor, pixels: Option<Tensor>, mut targets: Vec<f32>, outputs: usize) -> candle_core::Result<Self> {
        let shape = (row.dim(0)?, outputs);
        let mask: Vec<f32> = targets.iter().map(|value| f32::from(u8::from(!value.is_nan()))).collect();
        let known = mask.contains(&0.0).then(|| Tensor::from_vec(mask, shape, row.device())).transpose()?;
        targets.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = 0.0);
        Ok(Self { targets: Tensor::from_vec(targets, shape, row.device())?, row, pixels, known, evidence: None })
    }

    fn pick(&self, indices: &Tensor) -> candle_core::Result<Self> {
        let pick = |tensor: &Tensor| tensor.index_select(indices, 0);
        Ok(Self {
            row: pick(&self.row)?,
            pixels: self.pixels.as_ref().map(pick).transpose()?,
            targets: pick(&self.targets)?,
            known: self.known.as_ref().map(pick).transpose()?,
            evidence: match &self.evidence {
                Some(Evidence { excluded, weights }) => {
                    Some(Evidence { excluded: pick(excluded)?, weights: pick(weights)? })
                }
                None => None,
            },
        })
    }

    /// The loss of outputs: mean squared error or cross-entropy. Of evidence it is −ln of the probability that the class
    /// is one of those that it may be of.
    fn loss(&self, outputs: &Tensor, classes: bool) -> candle_core::Result<Tensor> {
        if classes {
            let logs = ops::log_softmax(outputs, 1)?;
            let measured = (&self.targets * &logs)?.sum(1)?;
            let Some(Evidence { excluded, weights }) = &self.evidence else { return measured.mean_all()?.neg() };
            let allowed = (logs + excluded)?.log_sum_exp(1)?;
            return (measured + (allowed * weights)?)?.mean_all()?.neg();
        }
        match &self.known {
            None => (outputs - &self.targets)?.sqr()?.mean_all(),
            Some(known) => {
                let cells = f64::from(known.sum_all()?.to_scalar::<f32>()?).max(1.0);
                ((outputs - &self.targets)? * known)?.sqr()?.sum_all()? / cells
            }
        }
    }
}

/// All training data of a network.
pub(in crate::train) struct Lessons<'a> {
    set: &'a TrainingSet,
    measured: Rows,
    /// Targets for the residuals of references: `measured.targets` without label smoothing.
    facts: Tensor,
    taught: Option<(Rows, &'a Taught, &'a TeacherRecipe)>,
    mode: AttentionMode,
    /// Representative rows: the cohort or the references.
    chosen: Vec<usize>,
    context: usize,
    batches: Batches,
    rng: ChaCha8Rng,
}

/// The rows of one step.
pub(in crate::train) struct Lesson {
    /// Synthetic rows, then measured ones, then those that are only attended to.
    pub(in crate::train) row: Tensor,
    pub(in crate::train) pixels: Option<Tensor>,
    measured: Rows,
    taught: Option<Rows>,
    context: Option<Context>,
}

/// The measured rows that a step attends to. They are the last rows.
struct Context {
    count: usize,
    targets: Tensor,
    known: Option<Tensor>,
    hidden: Option<Tensor>,
}

impl<'a> Lessons<'a> {
    pub(in crate::train) fn new(
        plan: &Training,
        (set, taught): (&'a TrainingSet, Option<(&'a Taught, &'a TeacherRecipe)>),
        (outputs, image): (&[usize], bool),
        config: &McvnConfig,
        seed: u64,
        device: &Device,
    ) -> Result<Self, FitError> {
        let pixels = |own: candle_core::Result<Option<Tensor>>| if image { own } else { Ok(None) };
        let mut targets = set.targets(outputs, plan.label_smoothing);
        let evidence = Evidence::of(set, outputs.len(), device)?;
        // Evidence has a loss of its own.
        targets[set.measured * outputs.len()..].fill(0.0);
        let measured = Rows::new(set.row_tensor(device)?, pixels(set.pixel_tensor(device))?, targets, outputs.len())?;
        let measured = Rows { evidence, ..measured };
        let facts = Rows::new(measured.row.clone(), None, set.targets(outputs, 0.0), outputs.len())?.targets;
        let taught = taught.map(|(taught, recipe)| {
            let rows = (taught.row_tensor(device)?, pixels(taught.pixel_tensor(device))?);
            Ok::<_, FitError>((Rows::new(rows.0, rows.1, taught.targets(outputs), outputs.len())?, taught, recipe))
        });
        let mode = config.architecture.attention;
        let count = match mode {
            AttentionMode::Reference => plan.cohort,
            AttentionMode::Residual => plan.references.unwrap_or(set.measured),
            AttentionMode::Itself | AttentionMode::Batch | AttentionMode::None => 0,
        };
        let purpose = if mode == AttentionMode::Reference { "cohort" } else { "references" };
        let chosen = match count {
            0 => Vec::new(),
            count if count >= set.measured && mode == AttentionMode::Residual => (0..set.measured).collect(),
            // Only what was measured is worth attending to.
            count => medoids(&set.row[..set.measured * set.width()], set.width(), count, &mut rng(seed, purpose)),
        };
        Ok(Self {
            set,
            measured,
            facts,
            taught: taught.transpose()?,
            mode,
            context: plan.context.unwrap_or(chosen.len()).min(chosen.len()),
            chosen,
            batches: Batches::new(set.count, plan.batch, seed),
            rng: rng(seed, "lessons"),
        })
    }

    /// The rows of the next step.
    pub(in crate::train) fn next(&mut self) -> Result<Lesson, FitError> {
        let device = self.measured.row.device().clone();
        let tensor = |indices: &[usize]| Tensor::new(indices.iter().map(|i| *i as u32).collect::<Vec<_>>(), &device);
        let batch = self.batches.next();
        let (asked, measured) = match &batch {
            Some(batch) => (batch.clone(), self.measured.pick(&tensor(batch)?)?),
            None => ((0..self.set.count).collect(), self.measured.clone()),
        };
        let taught = match &self.taught {
            Some((rows, taught, recipe)) => Some(rows.pick(&taught.draw(recipe.batch, &mut self.rng, &device)?)?),
            None => None,
        };
        let mut parts: Vec<&Rows> = taught.iter().chain([&measured]).collect();
        // If all measured rows are both predicted and attended to, pass them only once.
        let all = batch.is_none() && self.context == self.set.count;
        let seen: Vec<usize> = match self.context < self.chosen.len() {
            true => {
                let order = shuffled(self.chosen.len(), &mut self.rng);
                order.into_iter().take(self.context).map(|place| self.chosen[place]).collect()
            }
            false => self.chosen.clone(),
        };
        let attended = if seen.is_empty() { None } else { Some(self.measured.pick(&tensor(&seen)?)?) };
        parts.extend(attended.iter().filter(|_| !all));
        let stacked = |pick: fn(&Rows) -> Option<&Tensor>| {
            let parts: Vec<&Tensor> = parts.iter().filter_map(|rows| pick(rows)).collect();
            if parts.is_empty() { Ok(None) } else { Tensor::cat(&parts, 0).map(Some) }
        };
        let row = stacked(|rows| Some(&rows.row))?.unwrap_or_else(|| measured.row.clone());
        let pixels = stacked(|rows| rows.pixels.as_ref())?;
        let context = match attended {
            None => None,
            Some(attended) => {
                let synthetic = taught.as_ref().map_or(Ok(0), |taught| taught.row.dim(0))?;
                let hidden = (self.mode == AttentionMode::Residual)
                    .then(|| self.hidden(synthetic, &asked, &seen))
                    .map(|hidden| Tensor::from_vec(hidden, (synthetic + asked.len(), seen.len()), &device));
                let targets = self.facts.index_select(&tensor(&seen)?, 0)?;
                Some(Context { count: seen.len(), targets, known: attended.known, hidden: hidden.transpose()? })
            }
        };
        Ok(Lesson { row, pixels, measured, taught, context })
    }

    /// [`HIDDEN`] where a predicted row must not see an attended one. The first rows are synthetic and see all.
    fn hidden(&mut self, synthetic: usize, asked: &[usize], seen: &[usize]) -> Vec<f32> {
        let mut hidden = vec![0.0; (synthetic + asked.len()) * seen.len()];
        let groups = &self.set.groups;
        for (row, cells) in asked.iter().zip(hidden.chunks_exact_mut(seen.len()).skip(synthetic)) {
            let stranger = self.rng.random_bool(STRANGERS);
            for (other, cell) in seen.iter().zip(cells) {
                if other == row || (stranger && groups[*other] == groups[*row]) {
                    *cell = HIDDEN;
                }
            }
        }
        hidden
    }

    /// The tensors to store for the rows that the trained network attends to.
    pub(in crate::train) fn memory(&self, network: &Mcvn) -> Result<Vec<(String, Tensor)>, FitError> {
        if self.chosen.is_empty() {
            return Ok(Vec::new());
        }
        let indices: Vec<u32> = self.chosen.iter().map(|index| *index as u32).collect();
        let indices = Tensor::new(indices, self.measured.row.device())?;
        let Rows { row, pixels, known, .. } = self.measured.pick(&indices)?;
        if self.mode == AttentionMode::Reference {
            return Ok(cohort_tensors(&network.condense(&row, pixels.as_ref())?).collect());
        }
        let targets = self.facts.index_select(&indices, 0)?;
        let references = network.refer(&row, pixels.as_ref(), &targets, known.as_ref(), self.set.classes())?;
        let places: Vec<u32> = self.chosen.iter().map(|index| self.set.places[*index]).collect();
        let places = Tensor::from_vec(places, self.chosen.len(), &Device::Cpu)?;
        Ok(reference_tensors(&references).into_iter().chain([(PLACES.to_owned(), places)]).collect())
    }
}

impl Lesson {
    /// What its rows attend to.
    pub(in crate::train) fn attend<'a>(&'a self, lessons: &Lessons) -> Attend<'a> {
        match (&self.context, lessons.mode) {
            (Some(Context { count, targets, known, hidden: Some(hidden) }), _) => {
                let (known, classes) = (known.as_ref(), lessons.set.classes());
                Attend::Measured(Measured { count: *count, targets, known, classes, hidden })
            }
            (Some(Context { count, .. }), _) => Attend::LastRows(*count),
            (None, AttentionMode::Batch) => Attend::Batch,
            (None, _) => Attend::Itself,
        }
    }

    /// The loss of the outputs against measured values and the teacher's predictions.
    pub(in crate::train) fn loss(&self, outputs: &Tensor, lessons: &Lessons) -> candle_core::Result<Tensor> {
        let classes = lessons.set.classes();
        let synthetic = self.taught.as_ref().map_or(Ok(0), |taught| taught.row.dim(0))?;
        let own = self.measured.loss(&outputs.narrow(0, synthetic, self.measured.row.dim(0)?)?, classes)?;
        match (&self.taught, &lessons.taught) {
            (Some(taught), Some((.., recipe))) => {
                let said = taught.loss(&outputs.narrow(0, 0, synthetic)?, classes)?;
                (own * (1.0 - recipe.weight))? + (said * recipe.weight)?
            }
            _ => Ok(own),
        }
    }
}

/// The rows of each step: shuffled epochs in full batches.
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

    /// `None` if every step uses all rows.
    fn next(&mut self) -> Option<Vec<usize>> {
        if self.size == self.count {
            return None;
        }
        if self.order.len() < self.size {
            self.order = shuffled(self.count, &mut self.rng);
        }
        Some(self.order.split_off(self.order.len() - self.size))
    }
}
