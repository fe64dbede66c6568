//! Health and documentation, for operators and their tools.

use std::sync::LazyLock;

use axum::Json;
use axum::extract::State as FromState;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, Problem};
use super::state::State;

/// A health answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `alive`, `started` or `ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = Health, description = "The process answers")))]
pub(super) async fn livez() -> Json<Health> {
    Json(Health { status: "alive" })
}

/// Whether every model has answered a real pass since the start; stopping does not change it.
#[utoipa::path(
    get,
    path = "/startupz",
    tag = "health",
    responses(
        (status = 200, body = Health, description = "Everything has been loaded"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "loading"),
    )
)]
pub(super) async fn startupz(FromState(state): FromState<State>) -> Result<Json<Health>, ApiError> {
    if state.live().is_some() { Ok(Json(Health { status: "started" })) } else { Err(ApiError::NotReady) }
}

/// Whether every model has answered a real pass, passes do not keep failing, and the server is not stopping.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, body = Health, description = "Every model has answered a real pass"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "loading, draining, or passes keep failing"),
    )
)]
pub(super) async fn readyz(FromState(state): FromState<State>) -> Result<Json<Health>, ApiError> {
    state.readiness().map(|()| Json(Health { status: "ready" }))
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.yaml",
    tag = "health",
    responses((status = 200, body = String, content_type = "application/yaml", description = "OpenAPI 3.1"))
)]
pub(super) async fn openapi_yaml() -> Response {
    static DOCUMENT: LazyLock<Result<String, String>> = LazyLock::new(super::openapi_document);
    match &*DOCUMENT {
        Ok(text) => ([(header::CONTENT_TYPE, "application/yaml")], text.as_str()).into_response(),
        Err(error) => ApiError::InferenceFailed(error.clone()).into_response(),
    }
}
