//! Plausible samples for a schema, drawn from its ranges. They are used to test a device before it serves requests,
//! because a bundle contains no rows of its training data.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::domain::{Element, ParameterKind, RawComposition, RawSample, RawValue, Sample, Schema};
use crate::featurize::{Features, featurize};
use crate::model::bundle::{Bundle, Predicted};
use crate::model::error::BundleError;
use crate::model::rng::rng;
use crate::model::spec::manifest::Manifest;

/// Number of test samples.
const TRIED: usize = 32;
/// Largest sum of the alloying elements, in percent; the rest is left for the balance.
const MOST_ALLOYING: f64 = 99.0;

impl Bundle {
    /// Tests the model with real passes of plausible samples, first one alone, then all together. All results must be
    /// finite.
    ///
    /// # Errors
    /// A pass fails, a result is not finite, or no sample satisfies the schema.
    pub fn self_test(&self) -> Result<(), BundleError> {
        let features = probe_features(self.manifest(), TRIED);
        let all: Vec<&Features> = features.iter().collect();
        if all.is_empty() {
            return Err(BundleError::Manifest("no sample within the ranges of its schema is a valid one".to_owned()));
        }
        for part in [&all[..1], &all[..]] {
            let finite =
                |one: &Predicted| one.novelty.is_none_or(f64::is_finite) && one.disagreement.is_none_or(f64::is_finite);
            if !self.predict(part)?.iter().all(finite) {
                return Err(BundleError::NotFinite);
            }
        }
        Ok(())
    }
}

/// Features of up to `count` plausible samples of a model. They are the same in every call.
pub fn probe_features(manifest: &Manifest, count: usize) -> Vec<Features> {
    let raw = probe_samples(&manifest.schema, count, 1);
    let samples = raw.iter().filter_map(|raw| Sample::parse(raw, &manifest.schema, "").ok());
    samples.map(|sample| featurize(&sample, &manifest.schema, &manifest.features)).collect()
}

/// Samples within the ranges of a schema. The schema must have elements and levels (a loaded bundle's does). The same
/// seed gives the same samples.
pub fn probe_samples(schema: &Schema, count: usize, seed: u64) -> Vec<RawSample<'_>> {
    let mut rng = rng(seed, "probe");
    let sample = |_| {
        let composition = match schema.composition.balance {
            Some(balance) => within_ranges(schema, balance, &mut rng),
            None => few_elements(schema, &mut rng),
        };
        let parameters = schema.processing.iter();
        let processing = parameters.map(|parameter| (parameter.name.as_str().into(), value(&parameter.kind, &mut rng)));
        RawSample { composition: Some(composition), processing: processing.collect(), ..RawSample::default() }
    };
    (0..count).map(sample).collect()
}

fn value(kind: &ParameterKind, rng: &mut ChaCha8Rng) -> RawValue {
    match kind {
        ParameterKind::Numeric { min, max, .. } => RawValue::Number(between(*min, *max, rng)),
        ParameterKind::Categorical { levels, .. } => RawValue::Text(levels[rng.random_range(0..levels.len())].clone()),
    }
}

fn between(min: f64, max: f64, rng: &mut ChaCha8Rng) -> f64 {
    min + (max - min) * rng.random::<f64>()
}

/// Draws each alloying element from its range; the balance makes up the rest. If the sum is too large, all amounts are
/// scaled down.
fn within_ranges(schema: &Schema, balance: Element, rng: &mut ChaCha8Rng) -> RawComposition<'static> {
    let alloying = schema.composition.elements.iter().filter(|range| range.element != balance);
    let amounts: Vec<(Element, f64)> =
        alloying.map(|range| (range.element, between(range.min, range.max, rng))).collect();
    let total: f64 = amounts.iter().map(|(_, amount)| amount).sum();
    let scale = if total > MOST_ALLOYING { MOST_ALLOYING / total } else { 1.0 };
    let scaled = amounts.into_iter().map(|(element, amount)| (element.symbol().into(), amount * scale));
    RawComposition::Amounts(scaled.collect())
}

/// Two to five of the known elements in random proportions, in percent.
fn few_elements(schema: &Schema, rng: &mut ChaCha8Rng) -> RawComposition<'static> {
    let known = &schema.composition.elements;
    let drawn = (0..rng.random_range(2..=5)).map(|_| {
        let element = known[rng.random_range(0..known.len())].element;
        (element, between(1.0, 10.0, rng))
    });
    let drawn: Vec<(Element, f64)> = drawn.collect();
    let total: f64 = drawn.iter().map(|(_, part)| part).sum();
    RawComposition::Formula(
        drawn.iter().map(|(element, part)| format!("{element}{:.3}", part * 100.0 / total)).collect(),
    )
}
