//! A loaded bundle: manifest and weights put together into something that answers.
//!
//! Its own because this is where a model is checked: the hash of the weights, the featurizer, every width.
//! After [`Bundle::load`] a pass can only fail for reasons of the device. It takes bytes, not paths.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, ops};
use sha2::{Digest, Sha256};

use super::attention::{AttentionMode, Cohort, KeysValues};
use super::config::ConfigError;
use super::manifest::{MANIFEST_FORMAT, Manifest};
use super::mcvn::{Attend, Mcvn, Pass};
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

/// One network of the committee, ready to answer.
pub struct Member {
    network: Mcvn,
    cohort: Option<Cohort>,
    outputs: Vec<usize>,
}

/// A model that answers: features in, properties in their units or class probabilities out.
pub struct Bundle {
    manifest: Manifest,
    members: Vec<Member>,
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
        let members = (0..manifest.members.len()).map(|index| load_member(&manifest, index, &tensors, device));
        let members = members.collect::<Result<_, _>>()?;
        Ok(Self { members, device: device.clone(), manifest })
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
    pub fn predict(&self, samples: &[&Features]) -> Result<Vec<Vec<f64>>, BundleError> {
        if samples.is_empty() {
            return Ok(Vec::new());
        }
        let (row, pixels) = self.inputs(samples)?;
        let width = self.manifest.schema.outputs.width();
        let mut sums = vec![vec![0.0; width]; samples.len()];
        let mut votes = vec![0u32; width];
        for member in &self.members {
            let outputs = self.member_outputs(member, &row, pixels.as_ref())?;
            member.outputs.iter().for_each(|output| votes[*output] += 1);
            for (sum, values) in sums.iter_mut().zip(outputs) {
                member.outputs.iter().zip(values).for_each(|(output, value)| sum[*output] += f64::from(value));
            }
        }
        for sum in &mut sums {
            for (output, value) in sum.iter_mut().enumerate() {
                *value /= f64::from(votes[output]);
                if let Some(targets) = &self.manifest.scaling.targets {
                    *value = targets.unscale(output, *value);
                }
                if !value.is_finite() {
                    return Err(BundleError::NotFinite);
                }
            }
        }
        Ok(sums)
    }

    /// Standardised targets, or probabilities, of one member: one row per sample.
    fn member_outputs(
        &self,
        member: &Member,
        row: &Tensor,
        pixels: Option<&Tensor>,
    ) -> Result<Vec<Vec<f32>>, BundleError> {
        let attend = match (&member.cohort, member.network.config().architecture.attention) {
            (Some(cohort), _) => Attend::Cohort(cohort),
            (None, AttentionMode::Cohort) => Attend::Batch,
            (None, _) => Attend::Itself,
        };
        let outputs = member.network.forward(row, pixels, &mut Pass { attend, training: None })?;
        let outputs = match self.manifest.schema.outputs {
            Outputs::Regression { .. } => outputs,
            Outputs::Classification { .. } => ops::softmax(&outputs, 1)?,
        };
        Ok(outputs.to_vec2()?)
    }

    /// Scaled inputs on the device: (B, N) and (B, 504).
    fn inputs(&self, samples: &[&Features]) -> Result<(Tensor, Option<Tensor>), BundleError> {
        let scaling = &self.manifest.scaling;
        let mut row = Vec::with_capacity(samples.len() * scaling.row.width());
        samples.iter().for_each(|sample| scaling.row.extend(&sample.row, &mut row));
        let row = Tensor::from_vec(row, (samples.len(), scaling.row.width()), &self.device)?;
        let Some(scaler) = &scaling.pixels else { return Ok((row, None)) };
        let mut pixels = Vec::with_capacity(samples.len() * PIXELS);
        for image in samples.iter().filter_map(|sample| sample.pixels.as_ref()) {
            scaler.extend(image.as_slice(), &mut pixels);
        }
        Ok((row, Some(Tensor::from_vec(pixels, (samples.len(), PIXELS), &self.device)?)))
    }
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
    for (index, member) in manifest.members.iter().enumerate() {
        member.network.check()?;
        let fits = member.network.row_features == width
            && member.network.outputs == member.outputs.len()
            && member.network.architecture.image.is_some() == manifest.features.image.is_some()
            && member.outputs.iter().all(|output| *output < outputs);
        let whole = matches!(manifest.schema.outputs, Outputs::Regression { .. }) || member.outputs.len() == outputs;
        if !fits || !whole {
            return wrong(format!("member {index} does not fit the schema"));
        }
    }
    Ok(())
}

fn load_member(
    manifest: &Manifest,
    index: usize,
    tensors: &HashMap<String, Tensor>,
    device: &Device,
) -> Result<Member, BundleError> {
    let spec = &manifest.members[index];
    let prefix = member_prefix(index);
    let vb = VarBuilder::from_tensors(tensors.clone(), DType::F32, device).pp(&prefix);
    let network = Mcvn::new(spec.network.clone(), vb)?;
    let cohort = match spec.network.architecture.attention {
        AttentionMode::Reference => Some(load_cohort(&prefix, tensors)?),
        AttentionMode::Itself | AttentionMode::Cohort => None,
    };
    Ok(Member { network, cohort, outputs: spec.outputs.clone() })
}

fn load_cohort(prefix: &str, tensors: &HashMap<String, Tensor>) -> Result<Cohort, BundleError> {
    let get = |name: &str| {
        let name = format!("{prefix}.cohort.{name}");
        let tensor = tensors.get(&name).ok_or_else(|| BundleError::Weights(format!("{name} is missing")))?;
        Ok::<_, BundleError>(tensor.clone())
    };
    let layer = |name: &str| {
        Ok::<_, BundleError>(KeysValues {
            keys: get(&format!("{name}.keys"))?,
            values: get(&format!("{name}.values"))?,
        })
    };
    Ok(Cohort { row: layer("row")?, fusion: layer("fusion")? })
}

fn member_prefix(index: usize) -> String {
    format!("members.{index}")
}

/// The bytes of `weights.safetensors`: parameters and cohorts of all members, in a fixed order.
///
/// # Errors
/// A failure to read tensors back from their device or to encode them.
pub fn encode_weights(members: &[(BTreeMap<String, Tensor>, Option<Cohort>)]) -> Result<Vec<u8>, BundleError> {
    let mut tensors = BTreeMap::new();
    for (index, (parameters, cohort)) in members.iter().enumerate() {
        let prefix = member_prefix(index);
        for (name, tensor) in parameters {
            tensors.insert(format!("{prefix}.{name}"), tensor.to_device(&Device::Cpu)?);
        }
        for (layer, kv) in cohort.iter().flat_map(|cohort| [("row", &cohort.row), ("fusion", &cohort.fusion)]) {
            tensors.insert(format!("{prefix}.cohort.{layer}.keys"), kv.keys.to_device(&Device::Cpu)?);
            tensors.insert(format!("{prefix}.cohort.{layer}.values"), kv.values.to_device(&Device::Cpu)?);
        }
    }
    safetensors::serialize(&tensors, None).map_err(|error| BundleError::Weights(error.to_string()))
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
