//! `GET /admin/audit`: the audit log.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::ApiError;
use super::super::state::AppState;
use super::documented::AdminProblems;
use super::keys::Caller;
use super::notes::blocking;
use crate::admin::AuditRecord;
use crate::keys::Scope;

/// One line of the audit log, with its number.
#[derive(Serialize, ToSchema)]
struct NumberedRecord {
    number: u64,
    #[serde(flatten)]
    record: AuditRecord,
}

/// The audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditLog {
    /// Newest first.
    records: Vec<NumberedRecord>,
}

/// Largest number of audit lines in a response.
const MOST_RECORDS: usize = 1000;

/// Get the audit log, newest first (the last 1000 lines). Scope `read`.
#[utoipa::path(
    get, path = "/admin/audit", tag = "admin", security(("admin_key" = [])),
    responses((status = 200, body = AuditLog, description = "The audit log"), AdminProblems)
)]
pub(super) async fn audit_log(State(state): State<AppState>, headers: HeaderMap) -> Result<Json<AuditLog>, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "audit.read", "").await?;
    let records = blocking(move || caller.admin.audit_log(MOST_RECORDS).map_err(ApiError::internal)).await?;
    let records = records.into_iter().map(|(number, record)| NumberedRecord { number, record }).collect();
    Ok(Json(AuditLog { records }))
}
