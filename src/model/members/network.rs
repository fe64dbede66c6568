//! The paper's network as a member, for serving: loads the parameters of [`Mcvn`] and the stored references, and runs
//! passes.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use crate::model::error::BundleError;
use crate::model::members::member::{Inputs, Member, MemberOutput};
use crate::model::nn::attention::{Attend, KeysValues, ReferenceKv};
use crate::model::nn::direct::Direct;
use crate::model::nn::mcvn::{Mcvn, Pass};
use crate::model::nn::residual::References;
use crate::model::probabilities::softmax;
use crate::model::spec::network::{AttentionMode, McvnConfig};

/// A loaded network.
pub(in crate::model) struct Network {
    network: Mcvn,
    attended: Attended,
    /// A faster form of the network for a CPU, if its shape allows.
    direct: Option<Direct>,
    probabilities: bool,
}

/// What the rows attend to, as stored in the bundle.
enum Attended {
    Nothing,
    Batch,
    Cohort(ReferenceKv),
    /// With the index of each reference in the manifest.
    References(References, Vec<u32>),
}

impl Attended {
    fn attend(&self) -> Attend<'_> {
        match self {
            Self::Nothing => Attend::Itself,
            Self::Batch => Attend::Batch,
            Self::Cohort(cohort) => Attend::Stored(cohort),
            Self::References(references, _) => Attend::References(references),
        }
    }
}

impl Network {
    /// `known`: number of references in the manifest.
    pub(in crate::model) fn load(
        config: &McvnConfig,
        stored: (&str, &HashMap<String, Tensor>),
        probabilities: bool,
        known: usize,
        device: &Device,
    ) -> Result<Self, BundleError> {
        let vb = VarBuilder::from_tensors(stored.1.clone(), DType::F32, device).pp(stored.0);
        let attended = match config.architecture.attention {
            AttentionMode::Reference => Attended::Cohort(load_cohort(config, stored)?),
            AttentionMode::Residual => {
                let (references, places) = load_references(config, stored, known)?;
                Attended::References(references, places)
            }
            AttentionMode::Batch => Attended::Batch,
            AttentionMode::Itself | AttentionMode::None => Attended::Nothing,
        };
        let network = Mcvn::new(config.clone(), vb)?;
        let direct = match &attended {
            _ if !device.is_cpu() => None,
            Attended::References(references, places) => Direct::new(&network, Some((references, places)))?,
            _ => Direct::new(&network, None)?,
        };
        Ok(Self { network, attended, direct, probabilities })
    }

    /// Predicts with tensor operations.
    fn by_tensors(&self, inputs: &Inputs) -> Result<MemberOutput, BundleError> {
        let mut pass = Pass { attend: self.attended.attend(), training: None };
        let (row, pixels) = inputs.tensors()?;
        let (outputs, attention) = self.network.answer(row, pixels, &mut pass)?;
        let mut output =
            MemberOutput { values: outputs.flatten_all()?.to_vec1()?, novelty: None, references: Vec::new() };
        if let (Some(attention), Attended::References(_, places)) = (attention, &self.attended) {
            output.novelty = Some(attention.distance.to_vec1::<f32>()?.into_iter().map(novelty).collect());
            output.references = attention.largest(places)?;
        }
        Ok(output)
    }
}

impl Member for Network {
    fn answer(&self, inputs: &Inputs) -> Result<MemberOutput, BundleError> {
        let mut output = match &self.direct {
            Some(direct) => {
                let answers = direct.answer(&inputs.row_values, || inputs.patches());
                let novelty = || answers.distances.into_iter().map(novelty).collect();
                let attends = matches!(self.attended, Attended::References(..));
                MemberOutput { values: answers.values, novelty: attends.then(novelty), references: answers.references }
            }
            None => self.by_tensors(inputs)?,
        };
        if self.probabilities {
            output.values.chunks_mut(self.network.config().outputs).for_each(softmax);
        }
        Ok(output)
    }
}

/// Maps a distance (0 to infinity) to a novelty (0 to 1).
fn novelty(distance: f32) -> f32 {
    distance / (1.0 + distance)
}

fn get((prefix, tensors): (&str, &HashMap<String, Tensor>), name: &str) -> Result<Tensor, BundleError> {
    let name = format!("{prefix}.{name}");
    tensors.get(&name).cloned().ok_or_else(|| BundleError::Weights(format!("{name} is missing")))
}

fn load_cohort(config: &McvnConfig, stored: (&str, &HashMap<String, Tensor>)) -> Result<ReferenceKv, BundleError> {
    let heads = config.architecture.heads;
    let layer = |name: &str, width: usize| {
        let get = |part: &str| get(stored, &format!("cohort.{name}.{part}"));
        let (keys, values) = (get("keys")?, get("values")?);
        let count = keys.dims().last().copied().unwrap_or(0);
        let deep = width / heads;
        if count == 0 || keys.dims() != [heads, deep, count] || values.dims() != [heads, count, deep] {
            return Err(BundleError::Weights(format!("{}.cohort.{name} does not fit the network", stored.0)));
        }
        Ok(KeysValues { keys, values })
    };
    Ok(ReferenceKv { row: layer("row", config.attended_width())?, fusion: layer("fusion", config.fused_width())? })
}

fn load_references(
    config: &McvnConfig,
    stored: (&str, &HashMap<String, Tensor>),
    known: usize,
) -> Result<(References, Vec<u32>), BundleError> {
    let references =
        References { keys: get(stored, "references.keys")?, residuals: get(stored, "references.residuals")? };
    let places: Vec<u32> = get(stored, PLACES)?.to_vec1()?;
    let named = places.iter().all(|place| (*place as usize) < known);
    if references.fit(config) && named && references.residuals.dim(0)? == places.len() && !places.is_empty() {
        return Ok((references, places));
    }
    Err(BundleError::Weights(format!("{}.references do not fit the network or the manifest", stored.0)))
}

/// The tensors of a reference cohort, stored with those of the network.
pub fn cohort_tensors(cohort: &ReferenceKv) -> impl Iterator<Item = (String, Tensor)> {
    [("row", &cohort.row), ("fusion", &cohort.fusion)].into_iter().flat_map(|(layer, kv)| {
        [("keys", &kv.keys), ("values", &kv.values)]
            .map(|(name, tensor)| (format!("cohort.{layer}.{name}"), tensor.clone()))
    })
}

/// Name of the tensor with the index of each reference in the manifest.
pub const PLACES: &str = "references.places";

/// The tensors of references, stored with those of the network (without [`PLACES`]).
pub fn reference_tensors(references: &References) -> [(String, Tensor); 2] {
    [("keys", &references.keys), ("residuals", &references.residuals)]
        .map(|(name, tensor)| (format!("references.{name}"), tensor.clone()))
}
