//! Administration: retraining jobs, versions, promotions, the audit log.
//!
//! Its own because it is another surface, with keys, for other people; it may even listen elsewhere. Every
//! action that changes something, or was refused, leaves a line in the audit log.

mod act;
mod events;
mod file_name;
mod form;
mod job_body;
mod jobs;
mod keys;
mod models;
mod removal;
mod versions;

use std::sync::Arc;

use axum::Json;
use axum::extract::State as FromState;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, Problem};
use super::request_id::REQUEST_ID;
use super::state::State;
use crate::admin::{Admin, AuditRecord, BEGUN};
use crate::jobs::now;
use crate::keys::Scope;
use keys::Caller;

/// The admin routes.
pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(jobs::create_job, jobs::list_jobs))
        .routes(routes!(jobs::show_job, jobs::end_job))
        .routes(routes!(events::job_events))
        .routes(routes!(models::create_model))
        .routes(routes!(versions::list_versions))
        .routes(routes!(versions::show_version, removal::remove_version))
        .routes(routes!(versions::show_plot))
        .routes(routes!(versions::promote))
        .routes(routes!(versions::roll_back))
        .routes(routes!(audit_log))
}

/// The errors of an admin route, for the document.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code, reason = "describes answers; they are made from ApiError")]
enum AdminProblems {
    /// unauthorized: no key, or not one
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// forbidden: the key is not for this
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// not_found: no such model, version or job
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
}

/// The header of a request that may be repeated, for the document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes a header; it is read where actions are done")]
struct IdempotencyKey {
    /// Names this very request, up to 200 characters. Repeated with the same key it does nothing again: the answer is that
    /// of the first time, with the header `Idempotency-Replayed: true`. What failed may be repeated. Another request with
    /// the key is a 422; one of which nobody knows whether it was done, for the server ended meanwhile, a 409. Keys are
    /// remembered for seven days.
    #[param(rename = "Idempotency-Key", example = "promote 2026-11-26")]
    idempotency_key: Option<String>,
}

/// A line of the audit log with its number.
#[derive(Serialize, ToSchema)]
struct NumberedRecord {
    number: u64,
    #[serde(flatten)]
    record: AuditRecord,
}

/// The audit log.
#[derive(Serialize, ToSchema)]
struct AuditLog {
    /// Latest first.
    records: Vec<NumberedRecord>,
}

/// Lines of the audit log that one answer holds.
const MOST_RECORDS: usize = 1000;

/// Who did what, latest first (the last 1000 lines). Scope `read`.
#[utoipa::path(
    get, path = "/admin/audit", tag = "admin", security(("admin_key" = [])),
    responses((status = 200, body = AuditLog, description = "Who did what"), AdminProblems)
)]
async fn audit_log(FromState(state): FromState<State>, headers: HeaderMap) -> Result<Json<AuditLog>, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "audit.read", "").await?;
    let records = blocking(move || caller.admin.audit_log(MOST_RECORDS).map_err(ApiError::internal)).await?;
    let records = records.into_iter().map(|(number, record)| NumberedRecord { number, record }).collect();
    Ok(Json(AuditLog { records }))
}

/// Work on files, off the threads that answer.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(ApiError::internal(error)))
}

/// Who does what in a request, as the audit log has it; the outcome is added.
fn begun(headers: &HeaderMap, by: &str, action: &str, target: &str) -> AuditRecord {
    let id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
    AuditRecord {
        at: now(),
        by: by.to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        outcome: BEGUN.to_owned(),
        detail: String::new(),
        request_id: id.to_owned(),
    }
}

/// Keeps a line of the audit log.
async fn keep(admin: &Arc<Admin>, record: AuditRecord) -> Result<(), ApiError> {
    let admin = Arc::clone(admin);
    blocking(move || admin.audit(&record).map_err(|error| ApiError::AuditUnavailable(error.to_string()))).await
}

/// Keeps the outcome of an action, which stands whatever becomes of the line.
async fn note(admin: &Arc<Admin>, begun: AuditRecord, (code, detail): (&str, String)) {
    let record = AuditRecord { at: now(), outcome: code.to_owned(), detail, ..begun };
    if let Err(error) = keep(admin, record).await {
        tracing::error!(?error, "the outcome of an action could not be kept in the audit log");
    }
}
