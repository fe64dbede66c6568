//! Scores of a classifier beyond those of its test rows: on evidence that was held out, and by the number of elements,
//! with the share that the model calls in domain.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::data::{Dataset, EvidenceRow, Label, Protocol, Recipe, draw_folds};
use crate::domain::{Element, RawComposition, RawSample, Sample, most_probable};
use crate::featurize::featurize;
use crate::model::{Bundle, BundleError, TrustOptions};
use crate::train::infer::ask_features;
use crate::train::metrics::Scores;

/// Folds of the evidence; a split holds out one of them.
const FOLDS: usize = 3;
/// Alloys of this number of elements and more are scored together.
const MANY_ELEMENTS: usize = 6;

/// The data without the fold of the evidence that split `index` holds out, and that fold.
pub(super) fn hold_out(data: &Dataset, index: usize, seed: u64) -> (Cow<'_, Dataset>, Vec<EvidenceRow>) {
    let groups: Vec<String> = data.evidence.iter().map(|row| row.group.clone()).collect();
    let folds = draw_folds(&groups, Protocol::Grouped, FOLDS, seed).unwrap_or_default();
    let Some(fold) = folds.get(index % FOLDS) else { return (Cow::Borrowed(data), Vec::new()) };
    let pick = |rows: &[usize]| rows.iter().map(|row| data.evidence[*row].clone()).collect();
    let mut rest = data.clone();
    rest.evidence = pick(&fold.train);
    (Cow::Owned(rest), pick(&fold.test))
}

/// Adds the scores to those of a split. Nothing is added for a model with process parameters.
pub(super) fn score_domain(
    bundle: &Bundle,
    recipe: &Recipe,
    (data, rows): (&Dataset, &[usize]),
    held_out: &[EvidenceRow],
    scores: &mut Scores,
) -> Result<(), BundleError> {
    let Some(class) = recipe.class.as_ref().filter(|_| recipe.processing.is_empty()) else { return Ok(()) };
    let answers = answer(bundle, held_out.iter().map(|row| &row.sample))?;
    let excluded = |row: &EvidenceRow, class: usize| !row.allowed.get(class).copied().unwrap_or(true);
    let called: Vec<(bool, bool)> =
        held_out.iter().zip(&answers).map(|(row, (class, inside))| (excluded(row, *class), *inside)).collect();
    if !called.is_empty() {
        let of_all = |count: usize| count as f64 / called.len() as f64;
        let entry = [
            ("called_excluded", of_all(called.iter().filter(|(excluded, _)| *excluded).count())),
            (
                "called_excluded_in_domain",
                of_all(called.iter().filter(|(excluded, inside)| *excluded && *inside).count()),
            ),
            ("in_domain", of_all(called.iter().filter(|(_, inside)| *inside).count())),
        ];
        scores.insert("evidence".to_owned(), entry.map(|(metric, value)| (metric.to_owned(), value)).into());
    }
    let Some(most) = class.score_up_to_elements else { return Ok(()) };
    let answers = answer(bundle, rows.iter().map(|row| &data.samples[*row]))?;
    let mut sets: BTreeMap<String, Vec<(bool, bool)>> = BTreeMap::new();
    for (row, (class, inside)) in rows.iter().zip(answers) {
        let count = data.samples[*row].composition().amounts().len();
        let (ours, right) = (count.min(MANY_ELEMENTS), data.labels[*row] == Label::Class(class));
        let and_more = if ours == MANY_ELEMENTS { "_or_more" } else { "" };
        sets.entry(format!("{ours}{and_more}_elements")).or_default().push((right, inside));
        if count > most {
            sets.entry(format!("over_{most}_elements")).or_default().push((right, inside));
        }
    }
    for (name, rows) in sets {
        let share =
            |pick: fn(&(bool, bool)) -> bool| rows.iter().filter(|row| pick(row)).count() as f64 / rows.len() as f64;
        let entry = [("accuracy", share(|(right, _)| *right)), ("in_domain", share(|(_, inside)| *inside))];
        scores.insert(name, entry.map(|(metric, value)| (metric.to_owned(), value)).into());
    }
    Ok(())
}

/// The class of each sample, and whether it is in domain, as a server would say.
fn answer<'a>(bundle: &Bundle, samples: impl Iterator<Item = &'a Sample>) -> Result<Vec<(usize, bool)>, BundleError> {
    let manifest = bundle.manifest();
    let samples: Vec<Sample> = samples.map(|sample| checked(sample, bundle)).collect();
    let features = samples.iter().map(|sample| featurize(sample, &manifest.schema, &manifest.features)).collect();
    let predicted = ask_features(bundle, features, Bundle::predict)?;
    let of = |(sample, predicted)| {
        let trust = manifest.trust(sample, predicted, &TrustOptions::default());
        (most_probable(&predicted.values), trust.in_domain())
    };
    Ok(samples.iter().zip(&predicted).map(of).collect())
}

/// A sample, checked against the ranges of a bundle.
fn checked(sample: &Sample, bundle: &Bundle) -> Sample {
    let composition = sample.composition();
    // Rounding can put the amount of a pure element slightly above 100.
    let amount = |(element, amount): &(Element, f64)| (element.symbol().into(), amount.min(100.0));
    let raw = RawSample {
        composition: Some(RawComposition::Amounts(composition.amounts().iter().map(amount).collect())),
        basis: Some(composition.basis()),
        balance: None,
        processing: Vec::new(),
        not_measured: Vec::new(),
    };
    Sample::parse(&raw, &bundle.manifest().schema, "").unwrap_or_else(|_| sample.clone())
}
