//! A loaded bundle: manifest and weights combined into a model that answers.
//!
//! [`Bundle::load`] checks everything: the hash of the weights, the featurizer, every width. After it, a pass can only
//! fail because of the device. It takes bytes, not paths.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use crate::domain::{Outputs, Physics};
use crate::featurize::Features;
use crate::model::digest::sha256_hex;
use crate::model::ensemble::{Ensemble, EnsembleMember, EnsembleOutput};
use crate::model::error::BundleError;
use crate::model::members::gp::SparseGp;
use crate::model::members::member::{Inputs, Member};
use crate::model::members::network::Network;
use crate::model::members::trees::Forest;
use crate::model::nn::residual::ReferenceAttention;
use crate::model::spec::calibration::apply_temperature;
use crate::model::spec::manifest::Manifest;
use crate::model::spec::members::MemberKind;
use crate::model::spec::training_inputs::InputDistance;
use crate::model::validate::check;
use crate::model::weights::{check_numbers, member_prefix};

/// Number of samples in one pass on a CPU. With more, the activations between layers would not fit the cache.
const CACHED_SAMPLES: usize = 256;

/// The prediction for one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predicted {
    /// Targets in their units, or class probabilities.
    pub values: Vec<f64>,
    /// Novelty of the sample, from 0 (like the training rows) to 1; `None` if no member measures it.
    pub novelty: Option<f64>,
    /// Disagreement within the model (see [`EnsembleOutput::disagreement`]); `None` for a single member.
    pub disagreement: Option<f64>,
    /// Distance of the inputs from the training rows; `None` if the model does not measure it.
    pub distance: Option<InputDistance>,
    /// The references with the largest weights in the answer, in decreasing order, as indices in
    /// [`Manifest::references`].
    pub references: Vec<ReferenceAttention>,
    /// For a sample of which not all amounts are known: the standard deviation of each value over what they may be, on
    /// the target's scale (or of each class probability); otherwise empty.
    pub input_spread: Vec<f64>,
    /// What was corrected, because it cannot be.
    pub warnings: Vec<String>,
}

/// A model: takes features, returns properties in their units or class probabilities.
pub struct Bundle {
    manifest: Manifest,
    ensemble: Ensemble,
    device: Device,
    /// What is known of its targets.
    physics: Physics,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundle({} {})", self.manifest.name, self.manifest.version)
    }
}

impl Bundle {
    /// Builds a bundle on a device from the bytes of its two files.
    ///
    /// # Errors
    /// [`BundleError`] if manifest and weights are damaged or do not belong together.
    pub fn load(manifest: &[u8], weights: &[u8], device: &Device) -> Result<Self, BundleError> {
        let manifest: Manifest =
            serde_json::from_slice(manifest).map_err(|error| BundleError::Manifest(error.to_string()))?;
        check(&manifest)?;
        let found = sha256_hex(weights);
        if found != manifest.weights_sha256 {
            return Err(BundleError::Weights(format!(
                "SHA-256 is {found}, the manifest says {}",
                manifest.weights_sha256
            )));
        }
        let tensors = candle_core::safetensors::load_buffer(weights, device)?;
        check_numbers(&tensors)?;
        let members = (0..manifest.members.len()).map(|index| load_member(&manifest, index, &tensors, device));
        let ensemble = Ensemble {
            members: members.collect::<Result<_, _>>()?,
            families: manifest.families.clone(),
            gate: manifest.gate,
            width: manifest.schema.outputs.width(),
        };
        let physics = match &manifest.schema.outputs {
            Outputs::Regression { targets } => Physics::of(targets),
            Outputs::Classification { .. } => Physics::default(),
        };
        Ok(Self { ensemble, device: device.clone(), physics, manifest })
    }

    /// The manifest of the bundle.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Predicts samples in one pass: the targets in their units, or the class probabilities. A prediction does not
    /// depend on the other samples, unless the manifest says `batch_dependent`.
    ///
    /// # Errors
    /// The device failed, or a result is not finite.
    pub fn predict(&self, samples: &[&Features]) -> Result<Vec<Predicted>, BundleError> {
        if samples.is_empty() {
            return Ok(Vec::new());
        }
        let distances = self.manifest.calibration.as_ref().and_then(|calibration| calibration.inputs.as_ref());
        let predicted = |(output, sample): (EnsembleOutput, &&Features)| {
            let EnsembleOutput { mixed, novelty, disagreement, references, spread, .. } = output;
            let mut values = self.in_units(mixed);
            if !values.iter().all(|value| value.is_finite()) {
                return Err(BundleError::NotFinite);
            }
            let warnings = match &self.manifest.schema.outputs {
                Outputs::Regression { targets } => self.physics.hold(targets, &mut values),
                Outputs::Classification { .. } => Vec::new(),
            };
            let distance = distances.map(|inputs| inputs.distance(&sample.row));
            let input_spread = self.spread_on_scale(spread);
            Ok(Predicted { values, novelty, disagreement, distance, references, input_spread, warnings })
        };
        let at_once = match self.device.is_cpu() && !self.manifest.batch_dependent() {
            true => CACHED_SAMPLES,
            false => usize::MAX,
        };
        let mut answers = Vec::with_capacity(samples.len());
        for samples in passes(samples, at_once) {
            let given = self.ensemble_outputs(samples)?.into_iter().zip(samples);
            answers.extend(given.map(predicted).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(answers)
    }

    /// The outputs of the ensemble and of each family, before units and calibration.
    ///
    /// # Errors
    /// The device failed.
    pub fn ensemble_outputs(&self, samples: &[&Features]) -> Result<Vec<EnsembleOutput>, BundleError> {
        let answer =
            |points: &[&Features]| self.ensemble.answer(&Inputs::new(&self.manifest.scaling, points, &self.device));
        if samples.iter().all(|sample| sample.draws.is_none()) {
            return answer(samples);
        }
        let Manifest { schema, features, .. } = &self.manifest;
        let draws: Vec<Vec<Features>> = samples
            .iter()
            .map(|sample| sample.draws.iter().flat_map(|draws| draws.features(schema, features)).collect())
            .collect();
        let mut points: Vec<&Features> = Vec::with_capacity(samples.len());
        for (sample, draws) in samples.iter().zip(&draws) {
            if draws.is_empty() { points.push(sample) } else { points.extend(draws) }
        }
        let mut outputs = answer(&points)?.into_iter();
        let merged = |sample: &&Features| EnsembleOutput::of_draws(outputs.by_ref().take(sample.points()).collect());
        Ok(samples.iter().map(merged).collect())
    }

    /// Converts standardised targets to their learned scales (unit or logarithm). Class probabilities are unchanged.
    pub fn on_scale(&self, mut values: Vec<f64>) -> Vec<f64> {
        if let Some(targets) = &self.manifest.scaling.targets {
            values.iter_mut().enumerate().for_each(|(output, value)| *value = targets.unscale(output, *value));
        }
        values
    }

    /// Converts standard deviations of standardised targets to the targets' scales.
    fn spread_on_scale(&self, mut spread: Vec<f64>) -> Vec<f64> {
        if let Some(targets) = &self.manifest.scaling.targets {
            spread.iter_mut().zip(&targets.deviation).for_each(|(own, deviation)| *own *= deviation);
        }
        spread
    }

    /// Converts standardised targets to their units, or calibrates class probabilities.
    pub fn in_units(&self, values: Vec<f64>) -> Vec<f64> {
        let mut values = self.on_scale(values);
        if let Outputs::Regression { targets } = &self.manifest.schema.outputs {
            values.iter_mut().zip(targets).for_each(|(value, target)| *value = target.scale.in_unit(*value));
        }
        if let Some(temperature) = self.manifest.calibration.as_ref().and_then(|own| own.temperature) {
            apply_temperature(&mut values, temperature);
        }
        values
    }
}

/// Cuts samples into parts with at most `most` points each; a sample with more has a part of its own.
fn passes<'s, 'f>(samples: &'s [&'f Features], most: usize) -> Vec<&'s [&'f Features]> {
    let (mut parts, mut start, mut points) = (Vec::new(), 0, 0);
    for (at, sample) in samples.iter().enumerate() {
        let own = sample.points();
        if at > start && points + own > most {
            parts.push(&samples[start..at]);
            (start, points) = (at, 0);
        }
        points += own;
    }
    parts.push(&samples[start..]);
    parts
}

fn load_member(
    manifest: &Manifest,
    index: usize,
    tensors: &HashMap<String, Tensor>,
    device: &Device,
) -> Result<EnsembleMember, BundleError> {
    let spec = &manifest.members[index];
    let prefix = member_prefix(index);
    let member: Box<dyn Member> = match &spec.model {
        MemberKind::Network(network) => {
            let classes = matches!(manifest.schema.outputs, Outputs::Classification { .. });
            Box::new(Network::load(network, (&prefix, tensors), classes, manifest.references.len(), device)?)
        }
        MemberKind::Gp(gp) => Box::new(SparseGp::load(gp, &prefix, tensors, device)?),
        MemberKind::Forest(forest) => Box::new(Forest::load(forest, &prefix, tensors)?),
    };
    // If there is a Gaussian process, only its novelty counts. It measures distance in the inputs; a network measures
    // it in its learned code, which is less reliable (docs/accuracy.md).
    let gps = manifest.members.iter().any(|member| matches!(member.model, MemberKind::Gp(_)));
    let judges = !gps || matches!(spec.model, MemberKind::Gp(_));
    Ok(EnsembleMember { family: spec.family, outputs: spec.outputs.clone(), judges, member })
}
