//! Models folders with one-leaf bundles, for unit tests of files and versions. The bundles load and answer, because
//! only such bundles get a place among the versions.

use std::path::PathBuf;

use super::{ACTIVE_FILE, StoredBundle, write_bundle};
use crate::domain::{Basis, CompositionSchema, Element, ElementRange, Outputs, Scale, Schema, Target};
use crate::featurize::{FeatureSpec, Scaler, StandardScaler, featurizer_version};
use crate::model::{
    DataRecord, ForestConfig, MANIFEST_FORMAT, Manifest, MemberKind, MemberSpec, Node, Scaling, Share, encode_weights,
    forest_tensors, sha256_hex,
};

/// A bundle that answers 105 HV to every sample; `change` edits its manifest last.
pub(super) fn bundle(name: &str, version: &str, change: impl FnOnce(&mut Manifest)) -> StoredBundle {
    let tensors = forest_tensors(&[vec![Node::Leaf(0.5)]]).unwrap();
    let weights =
        encode_weights(&[tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect()]).unwrap();
    let forest =
        ForestConfig { trees: 1, outputs: 1, row_features: 2, image: false, probabilities: false, boosted: false };
    let range = |symbol: &str, min, max| ElementRange { element: symbol.parse::<Element>().unwrap(), min, max };
    let composition = CompositionSchema {
        elements: vec![range("C", 0.0, 1.0), range("Fe", 99.0, 100.0)],
        ..CompositionSchema::new(Basis::WeightPercent, Some("Fe".parse().unwrap()))
    };
    let targets = vec![Target { name: "hardness".to_owned(), unit: "HV".to_owned(), scale: Scale::default() }];
    let mut manifest = Manifest {
        format: MANIFEST_FORMAT,
        name: name.to_owned(),
        version: version.to_owned(),
        title: String::new(),
        about: None,
        limits: Vec::new(),
        route: Some("/predict/steel".to_owned()),
        default: false,
        created: None,
        featurizer: featurizer_version(),
        schema: Schema { composition, processing: Vec::new(), outputs: Outputs::Regression { targets } },
        features: FeatureSpec::default(),
        scaling: Scaling {
            row: Scaler { offset: vec![0.0; 2], factor: vec![1.0; 2], low: -9.0, high: 9.0, rounded: false },
            pixels: None,
            targets: Some(StandardScaler { mean: vec![100.0], deviation: vec![10.0] }),
        },
        families: vec![Share::default()],
        members: vec![MemberSpec { family: 0, outputs: vec![0], seed: 1, model: MemberKind::Forest(forest) }],
        references: Vec::new(),
        gate: None,
        calibration: None,
        kinds: None,
        training: serde_json::Value::Null,
        data: DataRecord {
            file: "rows.csv".to_owned(),
            sha256: String::new(),
            rows: 10,
            groups: 2,
            citation: String::new(),
            row_digests: Vec::new(),
            evidence: Vec::new(),
        },
        evaluation: Vec::new(),
        weights_sha256: sha256_hex(&weights),
    };
    change(&mut manifest);
    StoredBundle { manifest: serde_json::to_vec(&manifest).unwrap(), weights }
}

/// A models folder that is removed after the test.
pub(super) struct Models(tempfile::TempDir);

impl Models {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn folders(&self) -> Vec<PathBuf> {
        vec![self.path("")]
    }

    /// A path inside the folder.
    pub(super) fn path(&self, place: &str) -> PathBuf {
        self.0.path().join(place)
    }

    /// Writes a version of a model.
    pub(super) fn put(&self, model: &str, version: &str, change: impl FnOnce(&mut Manifest)) -> &Self {
        write_bundle(&self.path(model).join(version), &bundle(model, version, change), "", &[]).unwrap();
        self
    }

    /// Writes the file that names the active version.
    pub(super) fn activate(&self, model: &str, text: &str) -> &Self {
        std::fs::write(self.path(model).join(ACTIVE_FILE), text).unwrap();
        self
    }
}
