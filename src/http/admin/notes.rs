//! Writes audit lines: one before an action begins, one when it has ended.

use std::sync::Arc;

use axum::http::HeaderMap;

use super::super::error::ApiError;
use super::super::request_id::REQUEST_ID;
use crate::admin::{Admin, AuditRecord, BEGUN};
use crate::jobs::now;

/// Runs file operations on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(ApiError::internal(error)))
}

/// The first audit line of an action, without its outcome.
pub(super) fn begun(headers: &HeaderMap, by: &str, action: &str, target: &str) -> AuditRecord {
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

/// Writes a line to the audit log.
pub(super) async fn keep(admin: &Arc<Admin>, record: AuditRecord) -> Result<(), ApiError> {
    let admin = Arc::clone(admin);
    blocking(move || admin.audit(&record).map_err(|error| ApiError::AuditUnavailable(error.to_string()))).await
}

/// Writes the outcome of an action. A failure is only logged, because the action is already done.
pub(super) async fn note(admin: &Arc<Admin>, begun: AuditRecord, (code, detail): (&str, String)) {
    let record = AuditRecord { at: now(), outcome: code.to_owned(), detail, ..begun };
    if let Err(error) = keep(admin, record).await {
        tracing::error!(?error, "the outcome of an action could not be kept in the audit log");
    }
}
