//! Plausible samples for a schema, made from its ranges.
//!
//! Its own because a device must be tried with inputs like real ones before it answers real ones, and a
//! bundle carries no rows of its training data.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::init::rng;
use super::manifest::Manifest;
use crate::domain::{Element, ParameterKind, RawComposition, RawSample, RawValue, Sample, Schema};
use crate::featurize::{Features, featurize};

/// Features of up to `count` plausible samples of a model; the same ones each time.
pub fn probe_features(manifest: &Manifest, count: usize) -> Vec<Features> {
    let raw = probe_samples(&manifest.schema, count, 1);
    let samples = raw.iter().filter_map(|raw| Sample::parse(raw, &manifest.schema, "").ok());
    samples.map(|sample| featurize(&sample, &manifest.schema, &manifest.features)).collect()
}

/// Samples within the ranges of a schema, which must name elements and levels (a loaded bundle's does);
/// the same seed gives the same samples.
pub fn probe_samples(schema: &Schema, count: usize, seed: u64) -> Vec<RawSample<'_>> {
    let mut rng = rng(seed, "probe");
    let sample = |_| {
        let composition = match schema.composition.balance {
            Some(balance) => within_ranges(schema, balance, &mut rng),
            None => few_elements(schema, &mut rng),
        };
        let parameters = schema.processing.iter();
        let processing = parameters.map(|parameter| (parameter.name.as_str().into(), value(&parameter.kind, &mut rng)));
        RawSample { composition: Some(composition), basis: None, processing: processing.collect() }
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

/// Each alloying element somewhere in its range; the balance makes up the rest.
fn within_ranges(schema: &Schema, balance: Element, rng: &mut ChaCha8Rng) -> RawComposition<'static> {
    let alloying = schema.composition.elements.iter().filter(|range| range.element != balance);
    let amounts = alloying.map(|range| (range.element.symbol().into(), between(range.min, range.max, rng)));
    RawComposition::Amounts(amounts.collect())
}

/// Two to five of the known elements in random proportions.
fn few_elements(schema: &Schema, rng: &mut ChaCha8Rng) -> RawComposition<'static> {
    let known = &schema.composition.elements;
    let parts = (0..rng.random_range(2..=5)).map(|_| {
        let element = known[rng.random_range(0..known.len())].element;
        format!("{element}{:.2}", between(1.0, 10.0, rng))
    });
    RawComposition::Formula(parts.collect())
}
