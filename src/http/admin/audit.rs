//! `GET /admin/audit`, and the lines that actions leave there.

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

/// A line of the audit log with its number.
#[derive(Serialize, ToSchema)]
struct NumberedRecord {
    number: u64,
    #[serde(flatten)]
    record: AuditRecord,
}

/// The audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditLog {
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
pub(super) async fn audit_log(State(state): State<AppState>, headers: HeaderMap) -> Result<Json<AuditLog>, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "audit.read", "").await?;
    let records = blocking(move || caller.admin.audit_log(MOST_RECORDS).map_err(ApiError::internal)).await?;
    let records = records.into_iter().map(|(number, record)| NumberedRecord { number, record }).collect();
    Ok(Json(AuditLog { records }))
}
