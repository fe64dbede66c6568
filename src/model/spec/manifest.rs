//! `manifest.json`: all that is needed to rebuild a model, to use it, and to judge it.
//!
//! Its own because it is a file format: a change here is a change of [`MANIFEST_FORMAT`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::Schema;
use crate::featurize::{FeatureSpec, Scaler, StandardScaler};
use crate::model::spec::calibration::Calibration;
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
    /// Names this version among all of this model's: by default the start of its [digest](Manifest::digest).
    pub version: String,
    /// One line for people.
    pub title: String,
    /// The route that answers with this model, such as `/predict/steel`.
    pub route: String,
    /// Whether it answers where a request of its route names no model.
    pub default: bool,
    /// RFC 3339 time of training; left out unless the trainer was told, so that the same seed gives the
    /// same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Element table and image layout that the features were made with.
    pub featurizer: String,
    /// What the model takes and gives.
    pub schema: Schema,
    /// Which features it reads.
    pub features: FeatureSpec,
    /// How they are scaled.
    pub scaling: Scaling,
    /// Families of members: the members of each are averaged, the families mixed by their shares.
    pub families: Vec<Share>,
    /// The ensemble.
    pub members: Vec<MemberSpec>,
    /// The measured samples that answers lean on, where the networks attend to some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// Between which novelties the shares go over from `near` to `far`, where a member measures novelty.
    #[serde(default)]
    pub gate: Option<Gate>,
    /// How far answers can be trusted, measured on rows held out while training.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// How it was trained: the recipe's section as written.
    pub training: serde_json::Value,
    /// What it was trained on.
    pub data: DataRecord,
    /// What was measured, each on splits of the same data by the same recipe.
    #[serde(default)]
    pub evaluation: Vec<Evaluation>,
    /// SHA-256 of `weights.safetensors`, in hexadecimal.
    pub weights_sha256: String,
}

impl Manifest {
    /// Whether answers depend on what else is in the batch.
    pub fn batch_dependent(&self) -> bool {
        let batch = |member: &MemberSpec| match &member.model {
            MemberKind::Network(network) => network.architecture.attention == AttentionMode::Batch,
            MemberKind::Gp(_) | MemberKind::Forest(_) => false,
        };
        self.members.iter().any(batch)
    }
}

/// A row of the training data that answers lean on.
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

/// The weight of a family in the answer for samples near to the training rows, and far from them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// For samples like the training rows.
    pub near: f64,
    /// For samples unlike them.
    pub far: f64,
}

impl Default for Share {
    fn default() -> Self {
        Self { near: 1.0, far: 1.0 }
    }
}

/// Where near ends and far begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Up to this novelty a sample is near.
    pub near: f64,
    /// From this novelty on it is far.
    pub far: f64,
}

impl Gate {
    /// 0 for near, 1 for far, linear between.
    pub fn weight(&self, novelty: f64) -> f64 {
        if self.far > self.near { ((novelty - self.near) / (self.far - self.near)).clamp(0.0, 1.0) } else { 1.0 }
    }
}

/// One of the ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberSpec {
    /// Which family it belongs to.
    pub family: usize,
    /// Which of the schema's outputs its own outputs are, in order. Members of one family may give different ones: each
    /// learned from the rows on which its outputs were measured.
    pub outputs: Vec<usize>,
    /// The seed it was trained with.
    pub seed: u64,
    /// What it is.
    pub model: MemberKind,
}

/// What a bundle was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// Name of the file, without its folder.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Rows trained on.
    pub rows: usize,
    /// Groups (heats, alloys, chemical systems) among them.
    pub groups: usize,
    /// Where the data comes from.
    pub citation: String,
    /// Fingerprints of the rows trained on (see `data::row_digest`), so that a later version can be compared
    /// with this one on rows that are new to both. Empty in bundles that were written without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_digests: Vec<String>,
}

/// Scores over the splits of one protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// How test rows were chosen, such as `random` or `grouped`.
    pub protocol: String,
    /// Number of splits.
    pub splits: usize,
    /// By target or class (and `all` for the whole), then by metric.
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
