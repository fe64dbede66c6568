//! Digests: of bytes, and of all in a manifest that decides an answer.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::domain::Schema;
use crate::featurize::FeatureSpec;
use crate::model::error::BundleError;
use crate::model::spec::calibration::Calibration;
use crate::model::spec::manifest::{Gate, Manifest, MemberSpec, Reference, Scaling, Share};

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Manifest {
    /// SHA-256, in hexadecimal, of all that decides which questions get an answer, and which one: two versions with
    /// the same digest answer alike, to the last bit.
    ///
    /// The weights alone don't: they see standardised numbers and are the same for MPa and GPa. What is left out
    /// decides nothing: name, title and citation, the time of training, scores, and the data with the fingerprints of
    /// its rows, whose whole effect is in scalers, members and calibration.
    ///
    /// # Errors
    /// A failure to write JSON, which a manifest that was read or trained does not have.
    pub fn digest(&self) -> Result<String, BundleError> {
        let Self { format, route, default, featurizer, schema, features, scaling, families, .. } = self;
        let Self { members, references, gate, calibration, weights_sha256, .. } = self;
        let decisive = Decisive {
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
            weights_sha256,
        };
        // Fields come in the order of the struct and numbers in their shortest form: one manifest, one text.
        let text = serde_json::to_vec(&decisive).map_err(|error| BundleError::Manifest(error.to_string()))?;
        Ok(sha256_hex(&text))
    }
}

/// What of a manifest decides an answer.
#[derive(Serialize)]
struct Decisive<'a> {
    format: u32,
    route: &'a str,
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
    weights_sha256: &'a str,
}
