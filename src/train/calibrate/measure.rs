//! Calibration on held-out rows: intervals, the temperature of class probabilities, and the limits of near and far.
//!
//! Each row is predicted once by an ensemble that was trained without it: without its group, or, for every third group,
//! without the row alone (cross-conformal calibration, Vovk 2015). The errors of these predictions are those to expect
//! for a new or a known group, or slightly larger, because the ensembles are smaller and saw fewer rows.

use crate::data::{Dataset, Label, Protocol, TargetRecipe};
use crate::featurize::StandardScaler;
use crate::model::{
    BeforeAfter, Calibration, Gate, Share, TrainingInputs, apply_temperature, half_widths, mix_families, percentiles,
};
use crate::train::calibrate::error_model::{Row, fit_errors};
use crate::train::calibrate::held_out::{HeldOut, HeldOutRow, PartKind};
use crate::train::metrics::{expected_calibration_error, log_loss};

/// What calibration needs to know of the ensemble.
pub(in crate::train) struct Measured<'a> {
    /// Shares of its families.
    pub(in crate::train) shares: &'a [Share],
    /// Targets of a regression.
    pub(in crate::train) targets: &'a [TargetRecipe],
    /// Their scaler.
    pub(in crate::train) scaler: Option<&'a StandardScaler>,
    /// The inputs of all training rows.
    pub(in crate::train) inputs: Option<&'a TrainingInputs>,
}

/// Calibrates from the predictions for all held-out rows.
pub(in crate::train) fn calibrate(
    measured: &Measured,
    data: &Dataset,
    protocol: Protocol,
    held_out: &[HeldOut],
) -> (Option<Gate>, Calibration) {
    let folds = || held_out.iter().filter(|part| part.kind == PartKind::Fold);
    let rows: Vec<&HeldOutRow> = folds().flat_map(|part| &part.rows).collect();
    // What is unusual, and how wide intervals are in general, is told by rows of new groups.
    let new: Vec<&HeldOutRow> = match rows.iter().any(|row| row.new_group) {
        true => rows.iter().copied().filter(|row| row.new_group).collect(),
        false => rows.clone(),
    };
    let novelty: Option<Vec<f64>> = new.iter().map(|row| row.novelty).collect();
    let novelty = novelty.map(percentiles).unwrap_or_default();
    // `novelty[50]` is the median novelty of held-out rows. A sample counts as far (weight of `far` 1) above half of it
    // and as near (weight 0) below a quarter of it, linear in between. So most rows of new groups are far, and rows of
    // known groups, which have a fraction of that novelty, are near. Both factors were chosen by hand, not tuned. They
    // do not help if rows of known groups are almost as novel: on steel-fatigue, with the kernel's novelty, the medians
    // were .40 on random and .42 on grouped splits, and all rows counted as far (docs/accuracy.md).
    let gate = (!novelty.is_empty()).then(|| Gate { near: 0.25 * novelty[50], far: 0.5 * novelty[50] });
    let disagreement: Option<Vec<f64>> = new.iter().map(|row| row.disagreement).collect();
    let mut calibration = Calibration {
        protocol: protocol.name().to_owned(),
        folds: folds().count(),
        novelty,
        disagreement: disagreement.map(percentiles).unwrap_or_default(),
        kind_distance: percentiles(rows.iter().filter_map(|row| row.kind_distance).collect()),
        ..Calibration::default()
    };
    let mix = |row: &HeldOutRow| {
        let weight = gate.zip(row.novelty).map_or(1.0, |(gate, novelty)| gate.weight(novelty));
        mix_families(measured.shares, &row.families, weight)
    };
    let on_scales = |row: &HeldOutRow| Row {
        predicted: mix(row),
        measured: values(measured.targets, &data.labels[row.row]),
        disagreement: row.disagreement,
        distance: row.distance,
    };
    if let Some(scaler) = measured.scaler {
        let errors = |output: usize| {
            let error = |row: &Row| row.measured[output].map(|measured| (row.predicted[output] - measured).abs());
            half_widths(new.iter().filter_map(|row| error(&on_scales(row))).collect())
        };
        calibration.half_widths = (0..measured.targets.len()).map(errors).collect();
        let regions = held_out.iter().filter(|part| part.kind == PartKind::Region);
        let regions: Vec<Vec<Row>> = regions.map(|part| part.rows.iter().map(on_scales).collect()).collect();
        let rows: Vec<Row> = rows.iter().map(|row| on_scales(row)).collect();
        calibration.errors = fit_errors(&rows, &regions, scaler);
        calibration.inputs = measured.inputs.filter(|_| calibration.errors.is_some()).cloned();
    }
    let class = |row: &&HeldOutRow| match data.labels[row.row] {
        Label::Class(class) => Some((class, mix(row))),
        Label::Values(_) | Label::AnyOf { .. } => None,
    };
    let evidence = |row: &&'_ HeldOutRow| match &data.labels[row.row] {
        Label::AnyOf { allowed, weight } => Some((allowed.as_slice(), *weight, mix(row))),
        Label::Class(_) | Label::Values(_) => None,
    };
    let evidence: Vec<Evidence> = rows.iter().filter_map(evidence).collect();
    calibrate_classes(&mut calibration, &rows.iter().filter_map(class).collect::<Vec<_>>(), &evidence);
    (gate, calibration)
}

/// The measured values of a label on the targets' scales.
fn values(targets: &[TargetRecipe], label: &Label) -> Vec<Option<f64>> {
    let value = |(output, target): (usize, &TargetRecipe)| Some(target.scale.learned(label.value(output)?));
    targets.iter().enumerate().map(value).collect()
}

/// Adds the temperature of class probabilities, if there are any.
fn calibrate_classes(calibration: &mut Calibration, classes: &[(usize, Vec<f64>)], evidence: &[Evidence]) {
    if classes.is_empty() {
        return;
    }
    let temperature = best_temperature(classes, evidence);
    let after = |(class, answer): &(usize, Vec<f64>)| {
        let mut answer = answer.clone();
        apply_temperature(&mut answer, temperature);
        (*class, answer)
    };
    let calibrated: Vec<(usize, Vec<f64>)> = classes.iter().map(after).collect();
    calibration.temperature = Some(temperature);
    calibration.probabilities = Some(BeforeAfter {
        log_loss_before: log_loss(pairs(classes)),
        log_loss_after: log_loss(pairs(&calibrated)),
        ece_before: expected_calibration_error(pairs(classes)),
        ece_after: expected_calibration_error(pairs(&calibrated)),
    });
}

/// The classes that an alloy may be of, its weight, and the answer.
type Evidence<'a> = (&'a [bool], f64, Vec<f64>);

/// The temperature with the least log loss, to two decimals. Of evidence it is the loss of the probability that the class
/// is one of those that it may be of.
fn best_temperature(rows: &[(usize, Vec<f64>)], evidence: &[Evidence]) -> f64 {
    let loss = |hundredths: u32| {
        let temperature = f64::from(hundredths) / 100.0;
        let cooled = |answer: &Vec<f64>| {
            let mut answer = answer.clone();
            apply_temperature(&mut answer, temperature);
            answer
        };
        let measured: Vec<_> = rows.iter().map(|(class, answer)| (*class, cooled(answer))).collect();
        let allowed = |(allowed, weight, answer): &Evidence| {
            let answer = cooled(answer);
            let sum: f64 = answer.iter().zip(*allowed).filter(|(_, allowed)| **allowed).map(|(p, _)| p).sum();
            -weight * sum.max(1e-15).ln()
        };
        log_loss(pairs(&measured)) * measured.len() as f64 + evidence.iter().map(allowed).sum::<f64>()
    };
    let best = (50..=300).step_by(10).min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(100);
    let best = (best - 9..=best + 9).min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap_or(100);
    f64::from(best) / 100.0
}

/// Rows in the form that the scores need.
fn pairs(rows: &[(usize, Vec<f64>)]) -> impl Iterator<Item = (usize, &[f64])> {
    rows.iter().map(|(class, answer)| (*class, answer.as_slice()))
}
