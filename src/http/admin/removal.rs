//! `DELETE /admin/models/{name}` and `DELETE /admin/models/{name}/versions/{version}`: remove a model, or a version.
//!
//! These are the only actions on models that cannot be undone. Nothing in a read-only models folder is ever removed, and
//! a version that is serving only together with its model.

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

/// The removed model.
#[derive(Serialize, ToSchema)]
pub(super) struct RemovedModel {
    name: String,
}

/// Remove a model with all its versions. Scope `promote`.
///
/// All its versions, the active one too, its reports and its recipe are deleted. From then on it is not found; requests
/// that are being answered by it finish. To remove only a version, use
/// `DELETE /admin/models/{name}/versions/{version}`. Its jobs stay in the list, with their rows.
#[utoipa::path(
    delete, path = "/admin/models/{name}", tag = "admin", security(("admin_key" = [])),
    params(("name" = String, Path, description = "Name of the model", example = "steel-lab42"), IdempotencyKey),
    responses(
        (status = 200, body = RemovedModel, description = "The removed model"),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "conflict: a job of the model waits or runs, or the model is in a read-only models folder, or \
                no other model answers"),
        ActionProblems,
    )
)]
pub(super) async fn remove_model(
    State(state): State<AppState>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Promote, "model.remove", "").await?;
    let Path(name) = name.map_err(|_| no_such_model())?;
    let asked = Asked { action: "model.remove", target: &name, with: json!({}) };
    let (admin, model) = (Arc::clone(&caller.admin), name.clone());
    let work = async move {
        state.loaded()?.remove_model(&admin.writer, &admin.jobs, &model).await?;
        Done::new(StatusCode::OK, &RemovedModel { name: model }, String::new())
    };
    caller.act(&headers, asked, work).await
}

fn no_such_model() -> ApiError {
    ApiError::NotFound("no such model; see /models".to_owned())
}
