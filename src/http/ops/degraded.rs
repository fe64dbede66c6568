//! The degraded models, in the same form for `/readyz` and `/models`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::registry::{Catalogue, Trouble};

/// A degraded model: its active version cannot be loaded, or it claims to be the default of its route while another
/// model is.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Degraded {
    #[schema(example = "steel-lab42")]
    name: String,
    /// The active version; empty if none is set.
    version: String,
    /// The reason.
    #[schema(example = "weights: SHA-256 is 5b…, the manifest says 9e…")]
    reason: String,
    /// The version that serves instead, such as the previous one; null if there is none.
    answers: Option<String>,
}

/// The degraded models of a catalogue.
pub(in crate::http) fn degraded(catalogue: &Catalogue) -> Vec<Degraded> {
    let degraded = |Trouble { model, version, reason, answers, .. }| Degraded { name: model, version, reason, answers };
    catalogue.troubles().into_iter().map(degraded).collect()
}
