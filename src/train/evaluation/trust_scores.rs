//! Scores of what an answer says about its own reliability: intervals and chances of specifications.

use crate::data::Label;
use crate::domain::{Outputs, PropertyLimits, RawLimits, Specification, Target};
use crate::model::{Calibration, DEFAULT_CONFIDENCE, Predicted, Trust};
use crate::train::metrics::Scores;

/// How many samples with the highest and the lowest predictions are scored on their own.
const EXTREMES: usize = 10;
/// Specifications ask for at least these quantiles of the training rows, for every target.
const QUANTILES: [f64; 3] = [0.25, 0.5, 0.75];

/// The test rows of a split with their answers.
pub(super) struct Answers<'a> {
    pub(super) targets: &'a [Target],
    pub(super) labels: Vec<&'a Label>,
    pub(super) predicted: Vec<Predicted>,
    pub(super) trusts: Vec<Trust>,
}

/// One row and target: numbers on the target's scale.
#[derive(Clone, Copy)]
struct Case {
    predicted: f64,
    measured: f64,
    disagreement: f64,
    low: f64,
    high: f64,
}

impl Case {
    fn covered(&self) -> f64 {
        f64::from(u8::from((self.low..=self.high).contains(&self.measured)))
    }

    /// The interval score of Gneiting and Raftery (2007), also called Winkler's: the width, and a penalty for missing
    /// the measured value.
    fn interval_score(&self) -> f64 {
        let missed = (self.low - self.measured).max(0.0) + (self.measured - self.high).max(0.0);
        self.high - self.low + 2.0 / (1.0 - DEFAULT_CONFIDENCE) * missed
    }
}

fn mean(cases: &[Case], of: fn(&Case) -> f64) -> f64 {
    cases.iter().map(of).sum::<f64>() / cases.len().max(1) as f64
}

/// Adds, for each target and as means of the targets for `all`:
/// - `coverage_90`, `width_90`, `interval_score_90` of the 90 % intervals, and `with_interval`, the share of rows that
///   have one; the others are left out of the scores;
/// - `constant_interval_score_90` of intervals that are equally wide for all rows;
/// - `coverage_90` in each third of the disagreement and of the predicted value, and of the ten highest and the ten
///   lowest predictions.
pub(super) fn score_intervals(answers: &Answers, calibration: Option<&Calibration>, scores: &mut Scores) {
    let mut sums: std::collections::BTreeMap<String, (f64, f64)> = std::collections::BTreeMap::new();
    for (output, target) in answers.targets.iter().enumerate() {
        let measured = answers.labels.iter().filter(|label| label.value(output).is_some()).count();
        let mut cases = answers.cases(output, target);
        if cases.is_empty() {
            continue;
        }
        let half = calibration.and_then(|own| own.half_width(output, DEFAULT_CONFIDENCE)).unwrap_or(f64::NAN);
        let constant = |case: &Case| Case { low: case.predicted - half, high: case.predicted + half, ..*case };
        let constant: Vec<Case> = cases.iter().map(constant).collect();
        let mut found = vec![
            ("with_interval".to_owned(), cases.len() as f64 / measured.max(1) as f64),
            ("coverage_90".to_owned(), mean(&cases, Case::covered)),
            ("width_90".to_owned(), mean(&cases, |case| case.high - case.low)),
            ("interval_score_90".to_owned(), mean(&cases, Case::interval_score)),
            ("constant_interval_score_90".to_owned(), mean(&constant, Case::interval_score)),
        ];
        let mut thirds = |cases: &[Case], name: &str| {
            for (part, level) in ["least", "middle", "most"].into_iter().enumerate() {
                let own = &cases[cases.len() * part / 3..cases.len() * (part + 1) / 3];
                found.push((format!("coverage_90_{level}_{name}"), mean(own, Case::covered)));
            }
        };
        cases.sort_by(|a, b| a.disagreement.total_cmp(&b.disagreement));
        thirds(&cases, "disagreement");
        cases.sort_by(|a, b| a.predicted.total_cmp(&b.predicted));
        thirds(&cases, "value");
        let few = EXTREMES.min(cases.len());
        found.push(("coverage_90_ten_lowest".to_owned(), mean(&cases[..few], Case::covered)));
        found.push(("coverage_90_ten_highest".to_owned(), mean(&cases[cases.len() - few..], Case::covered)));
        for (metric, value) in &found {
            let sum = sums.entry(metric.clone()).or_default();
            *sum = (sum.0 + value, sum.1 + 1.0);
        }
        scores.entry(target.name.clone()).or_default().extend(found);
    }
    // Widths and scores in different units have no mean.
    sums.retain(|metric, _| metric.starts_with("coverage") || metric == "with_interval");
    let means = sums.into_iter().map(|(metric, (sum, count))| (metric, sum / count));
    scores.entry("all".to_owned()).or_default().extend(means);
}

impl Answers<'_> {
    fn cases(&self, output: usize, target: &Target) -> Vec<Case> {
        let learned = |value: f64| target.scale.learned(value);
        let case = |((label, predicted), trust): ((&&Label, &Predicted), &Trust)| {
            let [low, high] = (*trust.intervals.get(output)?)?;
            Some(Case {
                predicted: learned(predicted.values[output]),
                measured: learned(label.value(output)?),
                disagreement: predicted.disagreement.unwrap_or(0.0),
                low: learned(low),
                high: learned(high),
            })
        };
        self.labels.iter().zip(&self.predicted).zip(&self.trusts).filter_map(case).collect()
    }
}

/// Specifications to test chances on: every target is at least a quantile of what was measured on the training rows.
pub(super) fn specifications(outputs: &Outputs, training: &[&Label]) -> Vec<Specification> {
    let Outputs::Regression { targets } = outputs else { return Vec::new() };
    let quantile = |output: usize, part: f64| {
        let mut values: Vec<f64> = training.iter().filter_map(|label| label.value(output)).collect();
        values.sort_by(f64::total_cmp);
        values.get(((values.len().max(1) - 1) as f64 * part).round() as usize).copied()
    };
    let specification = |part: f64| {
        let named = targets.iter().enumerate();
        let limits = named.map(|(output, target)| RawLimits {
            property: target.name.as_str().into(),
            min: quantile(output, part),
            max: None,
        });
        let raw: Vec<RawLimits> = limits.filter(|limits| limits.min.is_some()).collect();
        Specification::parse(&raw, outputs, &mut Vec::new())
    };
    QUANTILES.into_iter().map(specification).collect()
}

/// A chance that all limits of a specification are kept, and whether they were.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct ChanceOutcome {
    /// The predicted chance.
    pub chance: f64,
    /// The product of the chances of the properties, as if their errors were independent.
    pub independent: f64,
    /// Whether the measured values kept all limits.
    pub kept: bool,
}

/// The outcome of one row; `None` if it has no chance or was not measured.
pub(super) fn outcome(limits: &[PropertyLimits], trust: &Trust, label: &Label) -> Option<ChanceOutcome> {
    let kept =
        limits.iter().map(|limits| Some(limits.hold(label.value(limits.output)?))).collect::<Option<Vec<_>>>()?;
    let independent = trust.chances.iter().flatten().product();
    Some(ChanceOutcome { chance: trust.chance_all?, independent, kept: kept.into_iter().all(|kept| kept) })
}

/// Adds `chance_brier`, the mean squared difference of the chance and what happened (0 or 1), and the same of
/// independent errors and of the share that kept the limits (`chance_brier_independent`, `chance_brier_of_share`).
pub(super) fn score_chances(outcomes: &[ChanceOutcome], scores: &mut Scores) {
    if outcomes.is_empty() {
        return;
    }
    let count = outcomes.len() as f64;
    let happened = |own: &ChanceOutcome| f64::from(u8::from(own.kept));
    let share = outcomes.iter().map(happened).sum::<f64>() / count;
    let brier = |chance: &dyn Fn(&ChanceOutcome) -> f64| {
        outcomes.iter().map(|own| (chance(own) - happened(own)).powi(2)).sum::<f64>() / count
    };
    let all = scores.entry("all".to_owned()).or_default();
    all.insert("chance_brier".to_owned(), brier(&|own| own.chance));
    all.insert("chance_brier_independent".to_owned(), brier(&|own| own.independent));
    all.insert("chance_brier_of_share".to_owned(), brier(&|_| share));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_score_counts_width_and_misses() {
        let case = Case { predicted: 5.0, measured: 11.0, disagreement: 0.0, low: 0.0, high: 10.0 };
        // 10 wide, missed by 1: 10 + 2 / 0.1 · 1.
        assert!((case.interval_score() - 30.0).abs() < 1e-9 && case.covered() == 0.0);
        let inside = Case { measured: 9.0, ..case };
        assert!((inside.interval_score() - 10.0).abs() < 1e-9 && inside.covered() == 1.0);
    }

    #[test]
    fn chances_are_scored_beside_the_share() {
        let outcome = |chance, kept| ChanceOutcome { chance, independent: 0.5, kept };
        let mut scores = Scores::new();
        score_chances(&[outcome(0.9, true), outcome(0.1, false), outcome(0.6, true), outcome(0.4, false)], &mut scores);
        let all = &scores["all"];
        assert!((all["chance_brier"] - 0.085).abs() < 1e-9 && (all["chance_brier_of_share"] - 0.25).abs() < 1e-9);
        assert!((all["chance_brier_independent"] - 0.25).abs() < 1e-9);
        score_chances(&[], &mut scores);
    }
}
