//! The predictions of the active version for the rows of a data set.
//!
//! An older version may have other inputs than the rows. So the rows are converted to raw samples and checked with its
//! own schema, as in a request.

use std::collections::BTreeSet;

use crate::data::{Dataset, Label, Recipe, VersionName, row_digest};
use crate::domain::{
    Element, NotMeasured, Outputs, Parameter, ParameterKind, ProcessValue, RawComposition, RawSample, RawValue, Sample,
    Schema, Target,
};
use crate::model::{Bundle, Evaluation};
use crate::train::evaluation::crossval::CrossValidation;
use crate::train::evaluation::evaluate::score;
use crate::train::infer::predict_samples;
use crate::train::metrics::Scores;

/// Least number of rows for a comparison.
pub const LEAST_ROWS: usize = 10;

/// The active version with its predictions for the rows of a data set.
#[derive(Clone, Debug)]
pub struct Incumbent {
    /// Its name.
    pub version: VersionName,
    /// By row: its prediction in the order of the recipe's outputs; `None` if it cannot read the row.
    pub predicted: Vec<Option<Vec<f64>>>,
    /// By row: whether it was trained on the row; `None` if unknown.
    pub seen: Option<Vec<bool>>,
    /// Whether it was trained on the same file.
    pub same_file: bool,
    /// The scores it recorded.
    pub evaluation: Vec<Evaluation>,
}

impl Incumbent {
    /// Predicts all rows of a data set with a bundle.
    ///
    /// # Errors
    /// A message why it cannot be compared: other outputs, inputs that the rows lack, or a failed pass.
    pub fn ask(bundle: &Bundle, data: &Dataset) -> Result<Self, String> {
        let manifest = bundle.manifest();
        let own = &data.base;
        let order = output_order(&own.outputs, &manifest.schema.outputs)?;
        let mut refused = None;
        let mut read = |sample: &Sample| {
            let sample = Sample::parse(&raw(sample, own, &manifest.schema), &manifest.schema, "");
            sample.map_err(|violations| refused = violations.first().map(|violation| violation.in_words())).ok()
        };
        let samples: Vec<Option<Sample>> = data.samples.iter().map(&mut read).collect();
        if samples.iter().flatten().count() < LEAST_ROWS {
            return Err(format!("it cannot read the rows ({})", refused.unwrap_or_default()));
        }
        let answers = predict_samples(bundle, samples.iter().flatten()).map_err(|error| error.to_string())?;
        let mut answers = answers.into_iter().map(|answer| order.iter().map(|output| answer[*output]).collect());
        let digest = |(sample, label): (&Option<Sample>, &Label)| {
            let sample = sample.as_ref()?;
            Some(row_digest(sample, &reordered(label, &order), &manifest.schema))
        };
        let known: BTreeSet<&str> = manifest.data.row_digests.iter().map(String::as_str).collect();
        // If it assumes values that our columns do not state, its digests contain values that are not in our data.
        let stated = |(theirs, ours): (&Option<Sample>, &Sample)| {
            let blank = |name: &str| {
                ours.assumed().iter().any(|(assumed, _)| assumed == name)
                    || ours.unmeasured().iter().any(|element| element.symbol() == name)
            };
            theirs.iter().flat_map(Sample::assumed).all(|(name, _)| blank(name))
        };
        let comparable = !known.is_empty() && samples.iter().zip(&data.samples).all(stated);
        let digests = samples.iter().zip(&data.labels).map(digest);
        let seen = digests.map(|digest| digest.is_some_and(|digest| known.contains(digest.as_str()))).collect();
        Ok(Self {
            version: VersionName::of(manifest),
            predicted: samples.iter().map(|sample| sample.as_ref().and_then(|_| answers.next())).collect(),
            seen: Some(seen).filter(|_| comparable),
            same_file: manifest.data.sha256 == data.sha256,
            evaluation: manifest.evaluation.clone(),
        })
    }

    /// Whether it can predict every row and is not known to be trained on any of them.
    fn is_new_to_all(&self) -> bool {
        let seen = self.seen.as_ref().is_some_and(|seen| seen.contains(&true));
        !seen && !self.same_file && self.predicted.iter().all(Option::is_some)
    }

    /// Its scores on the test rows of each fold, if it may be scored on all of them.
    pub(in crate::train) fn fold_scores(
        &self,
        recipe: &Recipe,
        data: &Dataset,
        validation: &CrossValidation,
    ) -> Option<Vec<Scores>> {
        let answers = |rows: &[usize]| rows.iter().filter_map(|row| self.predicted[*row].clone()).collect::<Vec<_>>();
        let scores = validation.splits.iter().map(|split| score(recipe, data, &split.test, &answers(&split.test)));
        self.is_new_to_all().then(|| scores.collect())
    }
}

/// The index of each wanted output among another model's outputs.
fn output_order(wanted: &Outputs, given: &Outputs) -> Result<Vec<usize>, String> {
    let order: Option<Vec<usize>> = match (wanted, given) {
        (Outputs::Regression { targets: wanted }, Outputs::Regression { targets: given }) => {
            let same = |a: &Target, b: &Target| a.name == b.name && a.unit == b.unit;
            wanted.iter().map(|target| given.iter().position(|other| same(other, target))).collect()
        }
        (Outputs::Classification { classes: wanted }, Outputs::Classification { classes: given }) => {
            wanted.iter().map(|class| given.iter().position(|other| other == class)).collect()
        }
        _ => None,
    };
    order.filter(|order| order.len() == given.width()).ok_or_else(|| "it has other outputs".to_owned())
}

/// A label in the order of another model's outputs.
fn reordered(label: &Label, order: &[usize]) -> Label {
    match label {
        Label::Class(class) => Label::Class(order[*class]),
        Label::AnyOf { allowed, weight } => {
            let mut moved = vec![false; allowed.len()];
            order.iter().zip(allowed).for_each(|(place, allowed)| moved[*place] = *allowed);
            Label::AnyOf { allowed: moved, weight: *weight }
        }
        Label::Values(values) => {
            let mut moved = vec![None; values.len()];
            order.iter().zip(values).for_each(|(place, value)| moved[*place] = *value);
            Label::Values(moved)
        }
    }
}

/// A sample in raw form for another schema. Parameters that the other does not have, or for which it takes its own
/// default, are left out.
fn raw<'a>(sample: &Sample, own: &'a Schema, other: &Schema) -> RawSample<'a> {
    let composition = sample.measured();
    // After scaling to 100, rounding can put an amount slightly above 100, the limit of a single amount.
    let amount = |(element, amount): &(Element, f64)| (element.symbol().into(), amount.min(100.0));
    let unmeasured = |element: &Element| (element.symbol().into(), NotMeasured::Blank);
    let value = |(parameter, value): (&'a Parameter, &ProcessValue)| {
        let known =
            other.processing.iter().find(|known| known.name == parameter.name && known.unit == parameter.unit)?;
        if !known.required() && sample.assumed().iter().any(|(name, _)| *name == parameter.name) {
            return None;
        }
        let value = match (&parameter.kind, value) {
            (ParameterKind::Categorical { levels, .. }, ProcessValue::Level(level)) => {
                RawValue::Text(levels.get(*level)?.clone())
            }
            (_, ProcessValue::Number(number)) => RawValue::Number(*number),
            _ => return None,
        };
        Some((parameter.name.as_str().into(), value))
    };
    RawSample {
        composition: Some(RawComposition::Amounts(composition.amounts().iter().map(amount).collect())),
        basis: Some(composition.basis()),
        not_measured: sample.unmeasured().iter().map(unmeasured).collect(),
        balance: None,
        processing: own.processing.iter().zip(sample.processing()).filter_map(value).collect(),
    }
}
