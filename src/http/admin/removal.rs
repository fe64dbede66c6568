//! `DELETE /admin/models/{name}/versions/{version}`: removes a version.
//!
//! This is the only action on models that cannot be undone. A version that is serving, or that is in a read-only models
//! folder, is never removed.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::super::error::{ApiError, Problem};
use super::super::state::AppState;
use super::act::{Asked, Done};
use super::documented::{ActionProblems, IdempotencyKey};
use super::keys::Caller;
use super::versions::no_such_version;
use crate::keys::Scope;

/// The removed version.
#[derive(Serialize, ToSchema)]
pub(super) struct Removed {
    name: String,
    version: String,
}

/// Remove a version that is not active. Scope `promote`.
///
/// Its files and its report are deleted. Candidates and previously active versions can be removed; a later rollback
/// skips a removed version.
#[utoipa::path(
    delete, path = "/admin/models/{name}/versions/{version}", tag = "admin", security(("admin_key" = [])),
    params(
        ("name" = String, Path, description = "Name of the model", example = "steel-fatigue"),
        ("version" = String, Path, description = "The version"),
        IdempotencyKey,
    ),
    responses(
        (status = 200, body = Removed, description = "The removed version"),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "conflict: the version is active, or serves in place of the active one, or is in a \
                read-only models folder"),
        ActionProblems,
    )
)]
pub(super) async fn remove_version(
    State(state): State<AppState>,
    headers: HeaderMap,
    place: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Promote, "version.remove", "").await?;
    let Path((name, version)) = place.map_err(|_| no_such_version())?;
    let target = format!("{name} {version}");
    let asked = Asked { action: "version.remove", target: &target, with: json!({}) };
    let writer = Arc::clone(&caller.admin.writer);
    let work = async move {
        state.loaded()?.remove(&writer, &name, &version).await?;
        Done::new(StatusCode::OK, &Removed { name, version }, String::new())
    };
    caller.act(&headers, asked, work).await
}
