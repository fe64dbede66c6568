//! A loaded bundle: manifest and weights put together into something that answers.
//!
//! Its own because this is where a model is checked: the hash of the weights, the featurizer, every width.
//! After [`Bundle::load`] a pass can only fail for reasons of the device. It takes bytes, not paths.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use sha2::{Digest, Sha256};

use super::calibration::apply_temperature;
use super::committee::{Committee, Seat, Verdict};
use super::config::ConfigError;
use super::forest::Forest;
use super::kernel::Kernel;
use super::manifest::{MANIFEST_FORMAT, Manifest, MemberSpec, Share};
use super::member::{Inputs, Member, MemberKind};
use super::network::Network;
use super::residual::Voice;
use crate::domain::{Outputs, Parameter, ParameterKind};
use crate::featurize::{Features, PIXELS, featurizer_version, row_width};

/// Why a bundle cannot be loaded, or a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// `manifest.json` is not what this program writes.
    #[error("manifest: {0}")]
    Manifest(String),
    /// The weights are not those of the manifest.
    #[error("weights: {0}")]
    Weights(String),
    /// The network's sizes are impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tensor library failed.
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A pass gave NaN or infinity.
    #[error("the pass gave a number that is not finite")]
    NotFinite,
}

/// Samples that a CPU passes at once: with more, what is between two layers would not stay in its cache.
const CACHED_SAMPLES: usize = 256;

/// What a model says of one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predicted {
    /// Targets in their units, or class probabilities.
    pub values: Vec<f64>,
    /// How new the sample is to the model, from 0 (like its training rows) to 1; `None` where it cannot tell.
    pub novelty: Option<f64>,
    /// How far the parts of the model are apart (see [`Verdict::disagreement`]); `None` for a single one.
    pub disagreement: Option<f64>,
    /// The measured samples that the answer leans on most, loudest first: places in [`Manifest::references`].
    pub voices: Vec<Voice>,
}

/// A model that answers: features in, properties in their units or class probabilities out.
pub struct Bundle {
    manifest: Manifest,
    committee: Committee,
    device: Device,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundle({} {})", self.manifest.name, self.manifest.version)
    }
}

impl Bundle {
    /// Puts a bundle together on a device from the bytes of its two files.
    ///
    /// # Errors
    /// [`BundleError`] where manifest and weights are damaged or don't belong together.
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
        let seats = (0..manifest.members.len()).map(|index| load_member(&manifest, index, &tensors, device));
        let committee = Committee {
            seats: seats.collect::<Result<_, _>>()?,
            families: manifest.families.clone(),
            gate: manifest.gate,
            width: manifest.schema.outputs.width(),
        };
        Ok(Self { committee, device: device.clone(), manifest })
    }

    /// What the bundle says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Answers samples in one pass: for each, the targets in their units, or the class probabilities.
    /// An answer does not depend on the other samples, unless the manifest says `batch_dependent`.
    ///
    /// # Errors
    /// A failure of the device, or a number that is not finite.
    pub fn predict(&self, samples: &[&Features]) -> Result<Vec<Predicted>, BundleError> {
        if samples.is_empty() {
            return Ok(Vec::new());
        }
        let predicted = |verdict: Verdict| {
            let Verdict { mixed, novelty, disagreement, voices, .. } = verdict;
            let values = self.in_units(mixed);
            let finite = values.iter().all(|value| value.is_finite());
            finite.then_some(Predicted { values, novelty, disagreement, voices }).ok_or(BundleError::NotFinite)
        };
        let at_once = match self.device.is_cpu() && !self.manifest.batch_dependent() {
            true => CACHED_SAMPLES,
            false => samples.len(),
        };
        let mut answers = Vec::with_capacity(samples.len());
        for samples in samples.chunks(at_once) {
            let verdicts = self.verdicts(samples)?.into_iter();
            answers.extend(verdicts.map(predicted).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(answers)
    }

    /// What the committee says of samples, and each of its families, before units and calibration.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn verdicts(&self, samples: &[&Features]) -> Result<Vec<Verdict>, BundleError> {
        let inputs = Inputs::new(&self.manifest.scaling, samples, &self.device);
        self.committee.answer(&inputs)
    }

    /// Standardised targets on the scales that they are learned on: their units, or logarithms. Class probabilities stay.
    pub fn on_scale(&self, mut values: Vec<f64>) -> Vec<f64> {
        if let Some(targets) = &self.manifest.scaling.targets {
            values.iter_mut().enumerate().for_each(|(output, value)| *value = targets.unscale(output, *value));
        }
        values
    }

    /// Standardised targets in their units, or class probabilities after calibration.
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

/// Every number of the weights is one: a member that gave NaN would be taken for one that gives no such output.
fn check_numbers(tensors: &HashMap<String, Tensor>) -> Result<(), BundleError> {
    for (name, tensor) in tensors.iter().filter(|(_, tensor)| tensor.dtype().is_float()) {
        let numbers = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        if let Some(at) = numbers.iter().position(|number| !number.is_finite()) {
            return Err(BundleError::Weights(format!("{name}: number {at} is {}", numbers[at])));
        }
    }
    Ok(())
}

/// Everything in a manifest that later code relies on without looking again.
fn check(manifest: &Manifest) -> Result<(), BundleError> {
    let wrong = |what: String| Err(BundleError::Manifest(what));
    if manifest.format != MANIFEST_FORMAT {
        return wrong(format!("format {}, this program reads {MANIFEST_FORMAT}", manifest.format));
    }
    if manifest.featurizer != featurizer_version() {
        return wrong(format!("featurizer {}, this program has {}", manifest.featurizer, featurizer_version()));
    }
    let outputs = manifest.schema.outputs.width();
    if outputs == 0 || manifest.families.is_empty() {
        return wrong("it has no outputs, or no families".to_owned());
    }
    let scaling = &manifest.scaling;
    let width = row_width(&manifest.schema, &manifest.features);
    if scaling.row.width() != width || !scaling.row.is_sound() {
        return wrong(format!("the row scaler does not fit {width} features"));
    }
    if scaling.pixels.is_some() != manifest.features.image.is_some()
        || scaling.pixels.as_ref().is_some_and(|scaler| scaler.width() != PIXELS || !scaler.is_sound())
    {
        return wrong(format!("the pixel scaler does not fit {PIXELS} pixels"));
    }
    let targets = match &manifest.schema.outputs {
        Outputs::Classification { .. } => scaling.targets.is_none(),
        Outputs::Regression { .. } => scaling.targets.as_ref().is_some_and(|scaler| {
            let numbers = scaler.mean.iter().chain(&scaler.deviation);
            scaler.mean.len() == outputs && scaler.deviation.len() == outputs && numbers.clone().all(|x| x.is_finite())
        }),
    };
    if !targets {
        return wrong("the target scaler does not fit the outputs".to_owned());
    }
    let sound = |parameter: &Parameter| match &parameter.kind {
        ParameterKind::Numeric { .. } => true,
        ParameterKind::Categorical { levels, default } => {
            !levels.is_empty() && default.as_ref().is_none_or(|level| levels.contains(level))
        }
    };
    if manifest.schema.composition.elements.is_empty() || !manifest.schema.processing.iter().all(sound) {
        return wrong("the schema names no elements, or a parameter's levels do not fit".to_owned());
    }
    for output in 0..outputs {
        if !manifest.members.iter().any(|member| member.outputs.contains(&output)) {
            return wrong(format!("no member gives output {output}"));
        }
    }
    let shares = manifest.families.iter().flat_map(|share| [share.near, share.far]);
    let positive = |pick: fn(&Share) -> f64| manifest.families.iter().map(pick).sum::<f64>() > 0.0;
    if !shares.clone().all(|share| share.is_finite() && share >= 0.0)
        || !positive(|share| share.near)
        || !positive(|share| share.far)
    {
        return wrong("the families' shares are not positive numbers".to_owned());
    }
    let targets = manifest.scaling.targets.as_ref().map_or(0, |targets| targets.mean.len());
    if manifest.calibration.as_ref().is_some_and(|calibration| !calibration.is_sound(targets)) {
        return wrong("the calibration does not fit".to_owned());
    }
    for (index, member) in manifest.members.iter().enumerate() {
        check_member(manifest, member, width)
            .map_err(|what| BundleError::Manifest(format!("member {index} {what}")))?;
    }
    Ok(())
}

fn check_member(manifest: &Manifest, member: &MemberSpec, width: usize) -> Result<(), String> {
    let outputs = manifest.schema.outputs.width();
    let classes = matches!(manifest.schema.outputs, Outputs::Classification { .. });
    let image = manifest.features.image.is_some();
    let of_all = member.outputs.len() == outputs || !classes;
    let own = member.outputs.len();
    let fits = own > 0 && member.outputs.iter().all(|output| *output < outputs);
    if member.family >= manifest.families.len() || !of_all || !fits {
        return Err("does not fit the schema".to_owned());
    }
    let fits = match &member.model {
        MemberKind::Network(network) => {
            network.check().map_err(|error| error.to_string())?;
            network.row_features == width && network.outputs == own && (network.architecture.image.is_none() || image)
        }
        MemberKind::Kernel(kernel) => {
            kernel.blocks.iter().flatten().all(|column| *column < width)
                && kernel.first() > 0
                && kernel.keys > 0
                && kernel.outputs == own
                && kernel.probabilities == classes
                && (kernel.components == 0 || image)
        }
        MemberKind::Forest(forest) => {
            forest.row_features == width
                && forest.outputs == own
                && forest.probabilities == classes
                && forest.trees > 0
                && (!forest.image || image)
        }
    };
    if fits { Ok(()) } else { Err("does not fit the features".to_owned()) }
}

fn load_member(
    manifest: &Manifest,
    index: usize,
    tensors: &HashMap<String, Tensor>,
    device: &Device,
) -> Result<Seat, BundleError> {
    let spec = &manifest.members[index];
    let prefix = member_prefix(index);
    let member: Box<dyn Member> = match &spec.model {
        MemberKind::Network(network) => {
            let classes = matches!(manifest.schema.outputs, Outputs::Classification { .. });
            Box::new(Network::load(network, (&prefix, tensors), classes, manifest.references.len(), device)?)
        }
        MemberKind::Kernel(kernel) => Box::new(Kernel::load(kernel, &prefix, tensors, device)?),
        MemberKind::Forest(forest) => Box::new(Forest::load(forest, &prefix, tensors)?),
    };
    // Of the two distances a kernel's is the better one: it is measured on what was given, a network's on what it has made
    // of it (docs/accuracy.md).
    let kernels = manifest.members.iter().any(|member| matches!(member.model, MemberKind::Kernel(_)));
    let judges = !kernels || matches!(spec.model, MemberKind::Kernel(_));
    Ok(Seat { family: spec.family, outputs: spec.outputs.clone(), judges, member })
}

fn member_prefix(index: usize) -> String {
    format!("members.{index}")
}

/// The tensors of one trained member, by their names within it.
pub type MemberTensors = BTreeMap<String, Tensor>;

/// The bytes of `weights.safetensors`: the tensors of all members, in a fixed order.
///
/// # Errors
/// A failure to read tensors back from their device or to encode them.
pub fn encode_weights(members: &[MemberTensors]) -> Result<Vec<u8>, BundleError> {
    let mut tensors = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        for (name, tensor) in member {
            tensors.insert(format!("{}.{name}", member_prefix(index)), tensor.to_device(&Device::Cpu)?);
        }
    }
    safetensors::serialize(&tensors, None).map_err(|error| BundleError::Weights(error.to_string()))
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
