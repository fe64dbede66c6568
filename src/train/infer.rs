//! Asking a bundle for samples of a data set.

use crate::domain::Sample;
use crate::featurize::{Features, featurize};
use crate::model::{Bundle, BundleError};

/// What a bundle answers for samples that were parsed with its schema (or the blank one of its recipe).
pub(in crate::train) fn predict_samples<'a>(
    bundle: &Bundle,
    samples: impl Iterator<Item = &'a Sample>,
) -> Result<Vec<Vec<f64>>, BundleError> {
    Ok(ask(bundle, samples, Bundle::predict)?.into_iter().map(|predicted| predicted.values).collect())
}

/// Asks a bundle for many samples, some at a time.
pub(in crate::train) fn ask<'a, T>(
    bundle: &Bundle,
    samples: impl Iterator<Item = &'a Sample>,
    question: impl Fn(&Bundle, &[&Features]) -> Result<Vec<T>, BundleError>,
) -> Result<Vec<T>, BundleError> {
    let manifest = bundle.manifest();
    // What a sample does not state is what the bundle takes for it, not what all rows together would.
    let features =
        |sample: &Sample| featurize(&sample.with_defaults(&manifest.schema), &manifest.schema, &manifest.features);
    let features: Vec<Features> = samples.map(features).collect();
    let mut answers = Vec::with_capacity(features.len());
    for chunk in features.chunks(256) {
        answers.extend(question(bundle, &chunk.iter().collect::<Vec<_>>())?);
    }
    Ok(answers)
}
