//! Predicts samples of a data set with a bundle.

use crate::domain::Sample;
use crate::featurize::{Features, featurize};
use crate::model::{Bundle, BundleError};

/// Predictions for samples that were checked with the bundle's schema (or the blank one of its recipe).
pub(in crate::train) fn predict_samples<'a>(
    bundle: &Bundle,
    samples: impl Iterator<Item = &'a Sample>,
) -> Result<Vec<Vec<f64>>, BundleError> {
    Ok(ask(bundle, samples, Bundle::predict)?.into_iter().map(|predicted| predicted.values).collect())
}

/// Runs a bundle on many samples, in parts.
pub(in crate::train) fn ask<'a, T>(
    bundle: &Bundle,
    samples: impl Iterator<Item = &'a Sample>,
    question: impl Fn(&Bundle, &[&Features]) -> Result<Vec<T>, BundleError>,
) -> Result<Vec<T>, BundleError> {
    let manifest = bundle.manifest();
    // Missing values get the defaults of this bundle, not those of the whole data set.
    let features =
        |sample: &Sample| featurize(&sample.with_defaults(&manifest.schema), &manifest.schema, &manifest.features);
    ask_features(bundle, samples.map(features).collect(), question)
}

/// Runs a bundle on the features of many samples, in parts.
pub(in crate::train) fn ask_features<T>(
    bundle: &Bundle,
    features: Vec<Features>,
    question: impl Fn(&Bundle, &[&Features]) -> Result<Vec<T>, BundleError>,
) -> Result<Vec<T>, BundleError> {
    let mut answers = Vec::with_capacity(features.len());
    for chunk in features.chunks(256) {
        answers.extend(question(bundle, &chunk.iter().collect::<Vec<_>>())?);
    }
    Ok(answers)
}
