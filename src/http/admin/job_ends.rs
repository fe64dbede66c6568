//! Cancels and removes jobs: `/admin/jobs/{id}/cancel` and `DELETE /admin/jobs/{id}`.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::super::error::{ApiError, Problem};
use super::super::state::AppState;
use super::act::{Asked, Done};
use super::documented::{ActionProblems, IdempotencyKey};
use super::jobs::job_id;
use super::keys::Caller;
use crate::jobs::Job;
use crate::keys::Scope;

/// Cancel a job. Scope `train`.
///
/// A waiting job does not start; a running job stops within a second. The job stays in the list, with its rows.
#[utoipa::path(
    post, path = "/admin/jobs/{id}/cancel", tag = "admin", security(("admin_key" = [])),
    params(("id" = u64, Path, description = "Number of the job", example = 1), IdempotencyKey),
    responses(
        (status = 200, body = Job, description = "The cancelled job"),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "conflict: the job has already ended"),
        ActionProblems,
    )
)]
pub(super) async fn cancel_job(
    State(state): State<AppState>,
    headers: HeaderMap,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Response, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Train, "job.cancel", "").await?;
    let id = job_id(id)?;
    let jobs = caller.admin.jobs.clone();
    let asked = Asked { action: "job.cancel", target: &format!("job {id}"), with: json!({}) };
    let work = async move { Done::new(StatusCode::OK, &jobs.cancel(id).await?, String::new()) };
    caller.act(&headers, asked, work).await
}

/// The query of a removal.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveQuery {
    /// Must be true, to confirm that uploaded rows are deleted
    #[param(required = false)]
    remove: bool,
}

/// Remove a job that has ended, with its rows, recipe and log. Scope `train`.
///
/// The version that it produced is kept. `?remove=true` is required: on earlier servers `DELETE` cancelled a job, and
/// such a request must not delete rows.
#[utoipa::path(
    delete, path = "/admin/jobs/{id}", tag = "admin", security(("admin_key" = [])),
    params(("id" = u64, Path, description = "Number of the job", example = 1), RemoveQuery, IdempotencyKey),
    responses(
        (status = 200, body = Job, description = "The removed job"),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "conflict: `?remove=true` is missing, or the job has not ended"),
        ActionProblems,
    )
)]
pub(super) async fn remove_job(
    State(state): State<AppState>,
    headers: HeaderMap,
    id: Result<Path<u64>, PathRejection>,
    query: Result<Query<RemoveQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Train, "job.remove", "").await?;
    let id = job_id(id)?;
    let Query(RemoveQuery { remove }) = query.map_err(|error| ApiError::invalid("/remove", error.body_text()))?;
    let jobs = caller.admin.jobs.clone();
    let asked = Asked { action: "job.remove", target: &format!("job {id}"), with: json!({}) };
    let work = async move {
        if !remove {
            jobs.get(id)?;
            let detail = format!("POST /admin/jobs/{id}/cancel cancels a job; ?remove=true removes one that has ended");
            return Err(ApiError::Conflict(detail, Vec::new()));
        }
        Done::new(StatusCode::OK, &jobs.remove(id).await?, String::new())
    };
    caller.act(&headers, asked, work).await
}
