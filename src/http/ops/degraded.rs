//! Models that do not answer as they should, as several routes tell it.
//!
//! Its own because `/readyz` and `/models` must say the same.

use serde::Serialize;
use utoipa::ToSchema;

use crate::registry::{Catalogue, Trouble};

/// A model that does not answer as it should: its version in use cannot be loaded, or another model is the default
/// that it claims to be.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Degraded {
    #[schema(example = "steel-lab42")]
    name: String,
    /// The version in use; empty where none is named.
    version: String,
    /// What is wrong with it.
    #[schema(example = "weights: SHA-256 is 5b…, the manifest says 9e…")]
    reason: String,
    /// The version that answers all the same, such as the one before; null where none does.
    answers: Option<String>,
}

/// Models that do not answer as they should.
pub(in crate::http) fn degraded(catalogue: &Catalogue) -> Vec<Degraded> {
    let degraded = |Trouble { model, version, reason, answers, .. }| Degraded { name: model, version, reason, answers };
    catalogue.troubles().into_iter().map(degraded).collect()
}
