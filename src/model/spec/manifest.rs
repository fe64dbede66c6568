//! `manifest.json`: all that is needed to rebuild, use and judge a model. A change of this file format must raise
//! [`MANIFEST_FORMAT`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Schema;
use crate::featurize::{FeatureSpec, Scaler, StandardScaler};
use crate::model::spec::calibration::Calibration;
use crate::model::spec::kinds::Kinds;
use crate::model::spec::limits::Limit;
use crate::model::spec::members::MemberKind;
use crate::model::spec::network::AttentionMode;

/// Version of the file format that this program reads and writes.
pub const MANIFEST_FORMAT: u32 = 2;

/// The manifest of one bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`] of the writer.
    pub format: u32,
    /// Name of the model, such as `steel-fatigue`.
    pub name: String,
    /// Name of this version, unique for the model: by default the start of its [digest](Manifest::digest).
    pub version: String,
    /// A short title.
    pub title: String,
    /// What an answer is about, in one sentence that every answer repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Limits of use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// The route served by this model, such as `/predict/steel`; none for one that answers at its own address alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Whether it serves requests of its route that name no model.
    pub default: bool,
    /// RFC 3339 time of training. Left out unless given to the trainer, so that the same seed gives the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Version of the element table and image layout used for the features.
    pub featurizer: String,
    /// Inputs and outputs.
    pub schema: Schema,
    /// The features used.
    pub features: FeatureSpec,
    /// How features and targets are scaled.
    pub scaling: Scaling,
    /// Families of members. The members of a family are averaged, the families are mixed by these shares.
    pub families: Vec<Share>,
    /// The members of the ensemble.
    pub members: Vec<MemberSpec>,
    /// The references of answers: measured samples that networks with residual attention attend to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// The range of novelty in which the shares change from `near` to `far`, if a member measures novelty.
    #[serde(default)]
    pub gate: Option<Gate>,
    /// Calibration, measured on rows held out in training.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// The kinds of alloys that were measured, if the recipe wants them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Kinds>,
    /// The recipe's training section, as written.
    pub training: serde_json::Value,
    /// The training data.
    pub data: DataRecord,
    /// Scores on splits of the same data with the same recipe.
    #[serde(default)]
    pub evaluation: Vec<Evaluation>,
    /// SHA-256 of `weights.safetensors`, in hexadecimal.
    pub weights_sha256: String,
}

impl Manifest {
    /// Whether the model is served by a route.
    pub fn is_on(&self, route: &str) -> bool {
        self.route.as_deref() == Some(route)
    }

    /// Whether answers depend on the other samples of the batch.
    pub fn batch_dependent(&self) -> bool {
        let batch = |member: &MemberSpec| match &member.model {
            MemberKind::Network(network) => network.architecture.attention == AttentionMode::Batch,
            MemberKind::Gp(_) | MemberKind::Forest(_) => false,
        };
        self.members.iter().any(batch)
    }
}

/// A training row used as a reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its group: a heat, an alloy, a chemical system.
    pub group: String,
    /// Its line in the data file.
    pub line: u64,
}

/// The scalers of a bundle, fitted on its training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// For the feature row.
    pub row: Scaler,
    /// For the image.
    #[serde(default)]
    pub pixels: Option<Scaler>,
    /// For the targets of a regression, on their scales.
    #[serde(default)]
    pub targets: Option<StandardScaler>,
}

/// The weight of a family for samples near the training rows and far from them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// For samples like the training rows.
    pub near: f64,
    /// For samples unlike the training rows.
    pub far: f64,
}

impl Default for Share {
    fn default() -> Self {
        Self { near: 1.0, far: 1.0 }
    }
}

/// The limits of near and far, in novelty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// A sample up to this novelty is near.
    pub near: f64,
    /// A sample from this novelty on is far.
    pub far: f64,
}

impl Gate {
    /// The weight of `far`: 0 for near samples, 1 for far ones, linear in between.
    pub fn weight(&self, novelty: f64) -> f64 {
        if self.far > self.near { ((novelty - self.near) / (self.far - self.near)).clamp(0.0, 1.0) } else { 1.0 }
    }
}

/// A member of the ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberSpec {
    /// Index of its family.
    pub family: usize,
    /// Indices of its outputs among the schema's, in order. Members of a family may have different outputs: each is
    /// trained on the rows in which its outputs were measured.
    pub outputs: Vec<usize>,
    /// Its training seed.
    pub seed: u64,
    /// Its kind and sizes.
    pub model: MemberKind,
}

/// The training data of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// Name of the file, without its folder.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Number of training rows.
    pub rows: usize,
    /// Number of groups (heats, alloys, chemical systems).
    pub groups: usize,
    /// Source of the data.
    pub citation: String,
    /// Fingerprints of the training rows (see `data::row_digest`), so that later versions can be compared with this one
    /// on rows new to both. Empty in older bundles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_digests: Vec<String>,
    /// The files of evidence that were used as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceRecord>,
}

/// A file with evidence of what alloys are not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceRecord {
    /// Name of the file, without its folder.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Number of alloys used.
    pub rows: usize,
    /// Classes that they are not of.
    pub excludes: Vec<String>,
    /// Source of the file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub citation: String,
}

/// Scores over the splits of one protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// How test rows were chosen, such as `random` or `grouped`.
    pub protocol: String,
    /// Number of splits.
    pub splits: usize,
    /// By target or class (`all` for the whole), then by metric.
    pub scores: BTreeMap<String, BTreeMap<String, Spread>>,
}

/// Mean and standard deviation over splits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation.
    pub std: f64,
}
