//! Calibration on held-out groups: intervals, the temperature of class probabilities, and the limits of near and far.
//!
//! Each row is predicted once by an ensemble that was trained without its group (cross-conformal calibration, Vovk
//! 2015). The errors of these predictions are those to expect for a new group, or slightly larger, because the
//! ensembles are smaller and saw fewer rows.

use candle_core::Device;

use crate::data::{Dataset, Label, Protocol, Split, TargetRecipe};
use crate::model::{
    BeforeAfter, Bundle, Calibration, Gate, Share, apply_temperature, half_widths, mix_families, percentiles,
};
use crate::train::error::FitError;
use crate::train::infer::ask;
use crate::train::metrics::{expected_calibration_error, log_loss};
use crate::train::trained::Trained;

/// The predictions of an ensemble for rows it was not trained on.
pub(in crate::train) struct HeldOut {
    rows: Vec<usize>,
    /// By row and family, on the targets' scales.
    families: Vec<Vec<Vec<f64>>>,
    novelty: Option<Vec<f64>>,
    disagreement: Option<Vec<f64>>,
    /// To the nearest kind of alloys; empty without kinds.
    kind_distance: Vec<f64>,
}

impl HeldOut {
    pub(in crate::train) fn ask(
        trained: &Trained,
        data: &Dataset,
        fold: &Split,
        device: &Device,
    ) -> Result<Self, FitError> {
        let bundle = trained.load(device)?;
        let given = ask(&bundle, fold.test.iter().map(|row| &data.samples[*row]), Bundle::ensemble_outputs)?;
        let novelty = given.iter().map(|output| output.novelty).collect();
        let disagreement = given.iter().map(|output| output.disagreement).collect();
        let on_scale = |families: Vec<Vec<f64>>| families.into_iter().map(|own| bundle.on_scale(own)).collect();
        let families = given.into_iter().map(|output| on_scale(output.families)).collect();
        let kinds = trained.manifest.kinds.as_ref();
        let distance = |row: &usize| Some(kinds?.nearest(data.samples[*row].composition())?.distance);
        let kind_distance = fold.test.iter().filter_map(distance).collect();
        Ok(Self { rows: fold.test.clone(), families, novelty, disagreement, kind_distance })
    }
}

/// Calibrates from the predictions for all held-out rows.
pub(in crate::train) fn calibrate(
    shares: &[Share],
    targets: &[TargetRecipe],
    data: &Dataset,
    protocol: Protocol,
    held_out: &[HeldOut],
) -> (Option<Gate>, Calibration) {
    let novelty: Option<Vec<Vec<f64>>> = held_out.iter().map(|part| part.novelty.clone()).collect();
    let novelty = novelty.map(|parts| percentiles(parts.concat())).unwrap_or_default();
    // `novelty[50]` is the median novelty of held-out rows. A sample counts as far (weight of `far` 1) above half of it
    // and as near (weight 0) below a quarter of it, linear in between. So most rows of new groups are far, and rows of
    // known groups, which have a fraction of that novelty, are near. Both factors were chosen by hand, not tuned. They
    // do not help if rows of known groups are almost as novel: on steel-fatigue, with the kernel's novelty, the medians
    // were .40 on random and .42 on grouped splits, and all rows counted as far (docs/accuracy.md).
    let gate = (!novelty.is_empty()).then(|| Gate { near: 0.25 * novelty[50], far: 0.5 * novelty[50] });
    let disagreement: Option<Vec<Vec<f64>>> = held_out.iter().map(|part| part.disagreement.clone()).collect();
    let mut calibration = Calibration {
        protocol: protocol.name().to_owned(),
        folds: held_out.len(),
        novelty,
        disagreement: disagreement.map(|parts| percentiles(parts.concat())).unwrap_or_default(),
        kind_distance: percentiles(held_out.iter().flat_map(|part| part.kind_distance.iter().copied()).collect()),
        ..Calibration::default()
    };
    let answers: Vec<(usize, Vec<f64>)> = held_out
        .iter()
        .flat_map(|part| {
            part.rows.iter().enumerate().map(move |(index, row)| {
                let weight = gate.zip(part.novelty.as_ref()).map_or(1.0, |(gate, novelty)| gate.weight(novelty[index]));
                (*row, mix_families(shares, &part.families[index], weight))
            })
        })
        .collect();
    let mut errors: Vec<Vec<f64>> = vec![Vec::new(); targets.len()];
    let mut classes: Vec<(usize, Vec<f64>)> = Vec::new();
    let mut evidence: Vec<Evidence> = Vec::new();
    for (row, answer) in answers {
        match &data.labels[row] {
            Label::Values(values) => {
                for (((errors, target), answer), value) in errors.iter_mut().zip(targets).zip(answer).zip(values) {
                    errors.extend(value.map(|value| (answer - target.scale.learned(value)).abs()));
                }
            }
            Label::Class(class) => classes.push((*class, answer)),
            Label::AnyOf { allowed, weight } => evidence.push((allowed, *weight, answer)),
        }
    }
    calibration.half_widths = errors.into_iter().map(half_widths).collect();
    if !classes.is_empty() {
        let temperature = best_temperature(&classes, &evidence);
        let after = |(class, answer): &(usize, Vec<f64>)| {
            let mut answer = answer.clone();
            apply_temperature(&mut answer, temperature);
            (*class, answer)
        };
        let calibrated: Vec<(usize, Vec<f64>)> = classes.iter().map(after).collect();
        calibration.temperature = Some(temperature);
        calibration.probabilities = Some(BeforeAfter {
            log_loss_before: log_loss(pairs(&classes)),
            log_loss_after: log_loss(pairs(&calibrated)),
            ece_before: expected_calibration_error(pairs(&classes)),
            ece_after: expected_calibration_error(pairs(&calibrated)),
        });
    }
    (gate, calibration)
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
