//! SHA-256 digests: of bytes, and of the parts of a manifest that affect predictions.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::domain::Schema;
use crate::featurize::FeatureSpec;
use crate::model::error::BundleError;
use crate::model::spec::calibration::Calibration;
use crate::model::spec::kinds::Kinds;
use crate::model::spec::limits::Limit;
use crate::model::spec::manifest::{Gate, Manifest, MemberSpec, Reference, Scaling, Share};

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Manifest {
    /// SHA-256, in hexadecimal, of everything that affects predictions. Two versions with the same digest give the same
    /// answers, bit for bit.
    ///
    /// The weights alone are not enough: they work on standardised numbers and are the same for MPa and GPa. Left out
    /// are fields without effect: name, title, citation, limits that are no warning, time of training, scores, and the data with its row
    /// fingerprints (the data acts only through scalers, members and calibration).
    ///
    /// # Errors
    /// Writing JSON failed, which does not happen for a manifest that was read or trained.
    pub fn digest(&self) -> Result<String, BundleError> {
        let Self { format, route, default, featurizer, schema, features, scaling, families, .. } = self;
        let Self { members, references, gate, calibration, kinds, about, limits, weights_sha256, .. } = self;
        let inputs = PredictionInputs {
            format: *format,
            route,
            default: *default,
            featurizer,
            schema,
            features,
            scaling,
            families,
            members,
            references,
            gate,
            calibration,
            kinds,
            about,
            limits: limits.iter().filter(|limit| limit.condition().is_some()).collect(),
            weights_sha256,
        };
        // Fields are written in the order of the struct and numbers in their shortest form, so a manifest has exactly
        // one text.
        let text = serde_json::to_vec(&inputs).map_err(|error| BundleError::Manifest(error.to_string()))?;
        Ok(sha256_hex(&text))
    }
}

/// The parts of a manifest that affect predictions.
#[derive(Serialize)]
struct PredictionInputs<'a> {
    format: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: &'a Option<String>,
    default: bool,
    featurizer: &'a str,
    schema: &'a Schema,
    features: &'a FeatureSpec,
    scaling: &'a Scaling,
    families: &'a [Share],
    members: &'a [MemberSpec],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    references: &'a [Reference],
    gate: &'a Option<Gate>,
    calibration: &'a Option<Calibration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kinds: &'a Option<Kinds>,
    /// It stands in every answer, …
    #[serde(skip_serializing_if = "Option::is_none")]
    about: &'a Option<String>,
    /// … as these do in some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    limits: Vec<&'a Limit>,
    weights_sha256: &'a str,
}
