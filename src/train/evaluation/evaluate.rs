//! Scores of a recipe over splits: trains on each split's training rows and predicts its test rows.
//!
//! It uses only [`fit`](crate::train::fit()) and the bundle as served, so that the scores are those of the served
//! model.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::data::{Dataset, Label, Recipe, Split};
use crate::domain::{Outputs, Sample, Specification, Target};
use crate::model::{Bundle, BundleError, Trust, TrustOptions};
use crate::train::error::FitError;
use crate::train::evaluation::domain::{hold_out, score_domain};
use crate::train::evaluation::trust_scores::{
    Answers, ChanceOutcome, outcome, score_chances, score_intervals, specifications,
};
use crate::train::fit::fit;
use crate::train::infer::{ask, predict_samples};
use crate::train::metrics::{Scores, classification_scores, expected_calibration_error, regression_scores, spearman};
use crate::train::parallel::run_all;
use crate::train::progress::{LossCurves, Observer};
use crate::train::trained::FitOptions;
use crate::train::training_set::target_scaler;

/// The results of one split.
#[derive(Clone, Debug, Serialize)]
pub struct SplitReport {
    /// Scores on its test rows.
    pub scores: Scores,
    /// Its test rows, counted from 0.
    pub rows: Vec<usize>,
    /// The predictions for them: targets in their units, or class probabilities.
    pub predicted: Vec<Vec<f64>>,
    /// The measured values: targets in their units (`None` if not measured), or the index of the class.
    pub actual: Vec<Vec<Option<f64>>>,
    /// Lower ends of the 90 % intervals, as served, if the model is calibrated; `None` for a row without an interval.
    pub lower: Vec<Vec<Option<f64>>>,
    /// Upper ends of the same intervals.
    pub upper: Vec<Vec<Option<f64>>>,
    /// Whether each row is in the domain of the model.
    pub in_domain: Vec<bool>,
    /// Chances of some specifications, and whether they were kept.
    pub chances: Vec<ChanceOutcome>,
    /// For a batch-dependent model: by output, the mean change of a prediction if its row is predicted alone.
    pub batch_effect: Vec<f64>,
    /// By family of the ensemble, the predictions of its members alone.
    pub families: Vec<Vec<Vec<f64>>>,
    /// The novelty of each row, if the model measures it.
    pub novelty: Option<Vec<f64>>,
    /// The disagreement on each row, if there are several members.
    pub disagreement: Option<Vec<f64>>,
    /// Steps and losses of each network's training.
    #[serde(skip)]
    pub losses: Vec<Vec<(usize, f64)>>,
}

/// Trains and scores on every split, `options.threads` splits at a time. The observer is called at every step of every
/// member.
///
/// # Errors
/// The first failure of a training.
pub fn evaluate(
    recipe: &Recipe,
    data: &Dataset,
    splits: &[Split],
    options: &FitOptions,
    observe: Observer,
) -> Result<Vec<SplitReport>, FitError> {
    run_all(splits.len(), options.threads, |index, stop| {
        let observe = |progress| if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { observe(progress) };
        evaluate_split(recipe, data, &splits[index], options, index, &observe)
    })
}

fn evaluate_split(
    recipe: &Recipe,
    data: &Dataset,
    split: &Split,
    options: &FitOptions,
    index: usize,
    observe: Observer,
) -> Result<SplitReport, FitError> {
    // Each split has its own seeds, so the spread includes the effect of random initial values.
    let options = FitOptions { seed: options.seed.wrapping_add(index as u64), threads: 1, ..options.clone() };
    let losses = LossCurves::default();
    let recorded = |progress| {
        losses.record(progress);
        observe(progress)
    };
    let (known, held_out) = hold_out(data, index, options.seed.wrapping_sub(index as u64));
    let trained = fit(recipe, &known, &split.train, &options, &recorded)?;
    let bundle = trained.load(&options.device)?;
    let manifest = bundle.manifest();
    let samples = || split.test.iter().map(|row| &data.samples[*row]);
    let given = ask(&bundle, samples(), Bundle::ensemble_outputs)?;
    let answered = ask(&bundle, samples(), Bundle::predict)?;
    let of_family =
        |family: usize| given.iter().map(|output| bundle.in_units(output.families[family].clone())).collect();
    let predicted: Vec<Vec<f64>> = answered.iter().map(|own| own.values.clone()).collect();
    let targets = match &manifest.schema.outputs {
        Outputs::Regression { targets } => targets.clone(),
        Outputs::Classification { .. } => Vec::new(),
    };
    let labels: Vec<&Label> = split.test.iter().map(|row| &data.labels[*row]).collect();
    let actual: Vec<Vec<Option<f64>>> = labels.iter().map(|label| measured(label)).collect();
    let mut scores = score(recipe, data, &split.test, &predicted);
    let trust = |specification: &Specification| -> Vec<Trust> {
        let options = TrustOptions { specification: specification.clone(), ..TrustOptions::default() };
        samples().zip(&answered).map(|(sample, own)| manifest.trust(sample, own, &options)).collect()
    };
    let mut chances = Vec::new();
    let training: Vec<&Label> = split.train.iter().map(|row| &data.labels[*row]).collect();
    for specification in specifications(&manifest.schema.outputs, &training) {
        let rows = trust(&specification);
        let outcomes =
            rows.iter().zip(&labels).filter_map(|(trust, label)| outcome(specification.limits(), trust, label));
        chances.extend(outcomes);
    }
    score_chances(&chances, &mut scores);
    let trusts = trust(&Specification::default());
    let end = |end: usize| -> Vec<Vec<Option<f64>>> {
        trusts.iter().map(|trust| trust.intervals.iter().map(|own| own.map(|ends| ends[end])).collect()).collect()
    };
    let (lower, upper) = (end(0), end(1));
    if targets.is_empty() {
        score_probabilities(&labels, &predicted, &mut scores);
    }
    score_domain(&bundle, recipe, (data, &split.test), &held_out, &mut scores)?;
    let novelty: Option<Vec<f64>> = given.iter().map(|output| output.novelty).collect();
    let disagreement: Option<Vec<f64>> = given.iter().map(|output| output.disagreement).collect();
    let errors = row_errors(&targets, &labels, &predicted);
    let in_domain = trusts.iter().map(Trust::in_domain).collect();
    let answers = Answers { targets: &targets, labels, predicted: answered, trusts };
    score_intervals(&answers, manifest.calibration.as_ref(), &mut scores);
    let all = scores.entry("all".to_owned()).or_default();
    all.extend(novelty.as_ref().map(|novelty| ("novelty_ranks_errors".to_owned(), spearman(novelty, &errors))));
    let ranks = |own| ("disagreement_ranks_errors".to_owned(), spearman(own, &errors));
    all.extend(disagreement.as_deref().map(ranks));
    Ok(SplitReport {
        scores,
        rows: split.test.clone(),
        lower,
        upper,
        batch_effect: batch_effect(&bundle, samples(), &predicted)?,
        actual,
        families: (0..manifest.families.len()).map(of_family).collect(),
        novelty,
        disagreement,
        in_domain,
        chances,
        losses: losses.curves(),
        predicted,
    })
}

fn measured(label: &Label) -> Vec<Option<f64>> {
    match label {
        Label::Values(values) => values.clone(),
        Label::Class(class) => vec![Some(*class as f64)],
        Label::AnyOf { .. } => Vec::new(),
    }
}

/// Adds the calibration error of class probabilities.
fn score_probabilities(labels: &[&Label], predicted: &[Vec<f64>], scores: &mut Scores) {
    let rows = labels.iter().zip(predicted).filter_map(|(label, predicted)| match label {
        Label::Class(class) => Some((*class, predicted.as_slice())),
        Label::Values(_) | Label::AnyOf { .. } => None,
    });
    scores.entry("all".to_owned()).or_default().insert("ece".to_owned(), expected_calibration_error(rows));
}

/// The absolute error of a prediction on its target's scale, if the target was measured.
fn error(target: &Target, index: usize, (label, predicted): (&&Label, &Vec<f64>)) -> Option<f64> {
    Some((target.scale.learned(label.value(index)?) - target.scale.learned(predicted[index])).abs())
}

/// The error of each prediction as one number: the absolute error divided by the target's standard deviation, averaged
/// over the measured targets; or one minus the probability of the measured class.
fn row_errors(targets: &[Target], labels: &[&Label], predicted: &[Vec<f64>]) -> Vec<f64> {
    let spread = target_scaler(targets, labels.iter().copied());
    let row = |pair: (&&Label, &Vec<f64>)| {
        if let (Label::Class(class), predicted) = pair {
            return 1.0 - predicted[*class];
        }
        let errors = targets.iter().zip(&spread.deviation).enumerate();
        let errors = errors.filter_map(|(index, (target, deviation))| Some(error(target, index, pair)? / deviation));
        errors.clone().sum::<f64>() / errors.count().max(1) as f64
    };
    labels.iter().zip(predicted).map(row).collect()
}

/// By output, the mean change of a prediction if its row is predicted alone; empty if predictions do not depend on the
/// batch.
fn batch_effect<'a>(
    bundle: &Bundle,
    samples: impl Iterator<Item = &'a Sample>,
    together: &[Vec<f64>],
) -> Result<Vec<f64>, BundleError> {
    if !bundle.manifest().batch_dependent() {
        return Ok(Vec::new());
    }
    let mut changes = vec![0.0; together.first().map_or(0, Vec::len)];
    for (sample, together) in samples.zip(together) {
        for alone in predict_samples(bundle, std::iter::once(sample))? {
            changes.iter_mut().zip(alone.iter().zip(together)).for_each(|(sum, (a, b))| *sum += (a - b).abs());
        }
    }
    Ok(changes.into_iter().map(|sum| sum / together.len().max(1) as f64).collect())
}

/// Scores of predictions from any method. Targets are scored on their scales.
pub(in crate::train) fn score(recipe: &Recipe, data: &Dataset, rows: &[usize], predicted: &[Vec<f64>]) -> Scores {
    let Some(class) = &recipe.class else {
        let names: Vec<&str> = recipe.targets.iter().map(|target| target.name.as_str()).collect();
        let scales = || recipe.targets.iter().map(|target| target.scale).enumerate();
        let actual = |row: &usize| {
            let label = &data.labels[*row];
            scales().map(|(index, scale)| label.value(index).map(|value| scale.learned(value))).collect()
        };
        let answer = |row: &Vec<f64>| scales().zip(row).map(|((_, scale), value)| scale.learned(*value)).collect();
        let actual: Vec<Vec<Option<f64>>> = rows.iter().map(actual).collect();
        return regression_scores(&names, &actual, &predicted.iter().map(answer).collect::<Vec<Vec<f64>>>());
    };
    let index = |row: &usize| match data.labels[*row] {
        Label::Class(class) => class,
        Label::Values(_) | Label::AnyOf { .. } => 0,
    };
    let actual: Vec<usize> = rows.iter().map(index).collect();
    let mut scores = classification_scores(&class.levels, &actual, predicted);
    if let Some(most) = class.score_up_to_elements {
        let few = |row: &usize| data.samples[*row].composition().amounts().len() <= most;
        let kept: Vec<usize> = (0..rows.len()).filter(|index| few(&rows[*index])).collect();
        let actual: Vec<usize> = kept.iter().map(|index| actual[*index]).collect();
        let predicted: Vec<Vec<f64>> = kept.iter().map(|index| predicted[*index].clone()).collect();
        let mut part = classification_scores(&class.levels, &actual, &predicted);
        scores.insert(format!("all_up_to_{most}_elements"), part.remove("all").unwrap_or_default());
    }
    scores
}
