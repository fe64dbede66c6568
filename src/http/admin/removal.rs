//! `DELETE /admin/models/{name}/versions/{version}`: a version that is not needed any more.
//!
//! Its own because it is the one action on models that nothing undoes: what answers is never removed, and no version of a
//! folder that is only read.

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

/// A version that is gone.
#[derive(Serialize, ToSchema)]
pub(super) struct Removed {
    name: String,
    version: String,
}

/// Remove a version that is not in use. Scope `promote`.
///
/// Its files are gone then, its report too. One that was in use before may be removed as well as a candidate: a rollback
/// passes over it.
#[utoipa::path(
    delete, path = "/admin/models/{name}/versions/{version}", tag = "admin", security(("admin_key" = [])),
    params(
        ("name" = String, Path, description = "Name of the model", example = "steel-fatigue"),
        ("version" = String, Path, description = "Its version"),
        IdempotencyKey,
    ),
    responses(
        (status = 200, body = Removed, description = "It is gone"),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "conflict: it is in use, or answers in place of the one in use, or stands in a folder that is only read"),
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
