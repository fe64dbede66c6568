//! Health and documentation, for operators and their tools.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::{ApiError, Problem};
use super::super::state::AppState;
use super::degraded::{Degraded, degraded};

/// A health answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Health {
    /// `alive`, `started` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// Of `/readyz`: models that do not answer as they should, while the others do; left out where all do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<Degraded>,
    /// Of `/readyz`: what keeps administration from working, in words; left out where nothing does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    administration: Vec<String>,
}

impl Health {
    fn of(status: &'static str) -> Json<Self> {
        Json(Self { status, degraded: Vec::new(), administration: Vec::new() })
    }
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = Health, description = "The process answers")))]
pub(in crate::http) async fn livez() -> Json<Health> {
    Health::of("alive")
}

/// Whether the models are loaded and have answered a real pass; stopping does not change it.
#[utoipa::path(
    get,
    path = "/startupz",
    tag = "health",
    responses(
        (status = 200, body = Health, description = "Everything has been loaded"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "loading"),
    )
)]
pub(in crate::http) async fn startupz(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    if state.live().is_some() { Ok(Health::of("started")) } else { Err(ApiError::NotReady) }
}

/// Whether the models have answered a real pass, passes do not keep failing, and the server is not stopping. A model that
/// cannot be loaded is named in `degraded`; the others answer. So they do where administration does not work.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, body = Health, description = "The models answer, but for those in degraded"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "loading, draining, or passes keep failing"),
    )
)]
pub(in crate::http) async fn readyz(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    state.readiness()?;
    let degraded = degraded(&state.serving()?.catalogue);
    let administration = state.admin_troubles().await.unwrap_or_default();
    Ok(Json(Health { status: "ready", degraded, administration }))
}
