//! Health checks for operators and schedulers.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::{ApiError, Problem};
use super::super::state::AppState;
use super::degraded::{Degraded, degraded};

/// The result of a health check.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Health {
    /// `alive`, `started` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// Only in `/readyz`: degraded models, while the others work; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<Degraded>,
    /// Only in `/readyz`: problems of the administration, in words; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    administration: Vec<String>,
}

impl Health {
    fn of(status: &'static str) -> Json<Self> {
        Json(Self { status, degraded: Vec::new(), administration: Vec::new() })
    }
}

/// Check that the process responds.
#[utoipa::path(
    get, path = "/livez", tag = "health",
    responses((status = 200, body = Health, description = "The process responds"))
)]
pub(in crate::http) async fn livez() -> Json<Health> {
    Health::of("alive")
}

/// Check that the models are loaded and have passed a real forward pass. Shutdown does not change the result.
#[utoipa::path(
    get,
    path = "/startupz",
    tag = "health",
    responses(
        (status = 200, body = Health, description = "The models are loaded"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "not_ready: loading"),
    )
)]
pub(in crate::http) async fn startupz(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    if state.live().is_some() { Ok(Health::of("started")) } else { Err(ApiError::NotReady) }
}

/// Check that the server can take requests.
///
/// The models must have passed a real forward pass, passes must not keep failing, and the server must not be shutting
/// down. A model that cannot be loaded is listed in `degraded`, while the others work. Problems of the administration
/// are listed in `administration`; they do not affect predictions.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, body = Health, description = "The models work, except those listed in degraded"),
        (status = 503, body = Problem, content_type = "application/problem+json",
            description = "not_ready: loading, shutting down, or passes keep failing"),
    )
)]
pub(in crate::http) async fn readyz(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    state.readiness()?;
    let degraded = degraded(&state.serving()?.catalogue);
    let administration = state.admin_troubles().await.unwrap_or_default();
    Ok(Json(Health { status: "ready", degraded, administration }))
}
