//! Assembles trained members into a bundle. All manifests are written here.

use std::collections::BTreeSet;

use candle_core::{Device, Tensor};

use crate::data::{Dataset, Recipe};
use crate::featurize::featurizer_version;
use crate::model::{
    Bundle, DataRecord, MANIFEST_FORMAT, Manifest, MemberSpec, MemberTensors, PLACES, Reference, encode_weights,
    sha256_hex,
};
use crate::train::error::FitError;
use crate::train::learners::kinds::kinds;
use crate::train::training_set::TrainingSet;

/// Options of the caller, in addition to the recipe.
#[derive(Clone, Debug)]
pub struct FitOptions {
    /// Seed of all randomness.
    pub seed: u64,
    /// Number of members to train in parallel (on a CPU).
    pub threads: usize,
    /// Device of the tensors.
    pub device: Device,
    /// Name of the data file, for the manifest.
    pub data_file: String,
    /// RFC 3339 time, for the manifest.
    pub created: Option<String>,
}

/// A member and its tensors.
pub(in crate::train) type TrainedMember = (MemberSpec, MemberTensors);

/// A trained bundle, in memory.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The manifest.
    pub manifest: Manifest,
    /// The bytes of the weights file.
    pub weights: Vec<u8>,
}

impl Trained {
    /// The bundle as a server would load it.
    ///
    /// # Errors
    /// The device failed.
    pub fn load(&self, device: &Device) -> Result<Bundle, FitError> {
        let manifest = serde_json::to_vec(&self.manifest).map_err(candle_core::Error::wrap)?;
        Ok(Bundle::load(&manifest, &self.weights, device)?)
    }
}

/// A bundle of trained members, without calibration and version name.
pub(in crate::train) fn assemble(
    recipe: &Recipe,
    (data, rows): (&Dataset, &[usize]),
    set: &TrainingSet,
    members: Vec<TrainedMember>,
    options: &FitOptions,
) -> Result<Trained, FitError> {
    let (members, mut tensors): (Vec<MemberSpec>, Vec<MemberTensors>) = members.into_iter().unzip();
    let references = name_references(&mut tensors, data, rows)?;
    let measured: Vec<usize> = rows.iter().copied().filter(|row| data.labels[*row].is_measured()).collect();
    let classes = recipe.class.as_ref().map_or(0, |class| class.levels.len());
    let weights = encode_weights(&tensors)?;
    let weights_sha256 = sha256_hex(&weights);
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        name: recipe.name.clone(),
        version: String::new(),
        title: recipe.title.clone(),
        about: recipe.about.clone(),
        limits: recipe.limits.clone(),
        route: recipe.route.clone(),
        default: recipe.default,
        created: options.created.clone(),
        featurizer: featurizer_version(),
        features: recipe.features.clone(),
        scaling: set.scaling.clone(),
        families: recipe.shares(),
        members,
        references,
        gate: None,
        calibration: None,
        kinds: recipe.kinds.map(|count| kinds(data, rows, count, classes, options.seed)),
        training: serde_json::json!({
            "networks": recipe.training, "committee": recipe.committee, "teacher": recipe.teacher,
            "calibration": recipe.calibration,
        }),
        data: DataRecord {
            file: options.data_file.clone(),
            sha256: data.sha256.clone(),
            rows: measured.len(),
            groups: data.count_groups(&measured),
            citation: recipe.citation.clone(),
            row_digests: data.digests(&set.schema, &measured),
            evidence: data.evidence_files.clone(),
        },
        evaluation: Vec::new(),
        weights_sha256,
        schema: set.schema.clone(),
    };
    Ok(Trained { manifest, weights })
}

/// Lists the rows used as references by members, and replaces the indices of rows by indices in this list.
fn name_references(members: &mut [MemberTensors], data: &Dataset, rows: &[usize]) -> Result<Vec<Reference>, FitError> {
    let mut used = BTreeSet::new();
    for tensors in members.iter() {
        used.extend(tensors.get(PLACES).map(Tensor::to_vec1::<u32>).transpose()?.unwrap_or_default());
    }
    let used: Vec<u32> = used.into_iter().collect();
    for tensors in members.iter_mut() {
        let Some(places) = tensors.get_mut(PLACES) else { continue };
        let renamed =
            places.to_vec1::<u32>()?.iter().map(|place| used.partition_point(|own| own < place) as u32).collect();
        *places = Tensor::from_vec(renamed, places.dims1()?, &Device::Cpu)?;
    }
    let named = used.iter().filter_map(|place| rows.get(*place as usize));
    Ok(named.map(|row| Reference { group: data.groups[*row].clone(), line: data.lines[*row] }).collect())
}
