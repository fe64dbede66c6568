//! Lines of the audit log: an action is noted before it begins and when it has ended.

use std::sync::Arc;

use axum::http::HeaderMap;

use super::super::error::ApiError;
use super::super::request_id::REQUEST_ID;
use crate::admin::{Admin, AuditRecord, BEGUN};
use crate::jobs::now;

/// Work on files, off the threads that answer.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(ApiError::internal(error)))
}

/// Who does what in a request, as the audit log has it; the outcome is added.
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

/// Keeps a line of the audit log.
pub(super) async fn keep(admin: &Arc<Admin>, record: AuditRecord) -> Result<(), ApiError> {
    let admin = Arc::clone(admin);
    blocking(move || admin.audit(&record).map_err(|error| ApiError::AuditUnavailable(error.to_string()))).await
}

/// Keeps the outcome of an action, which stands whatever becomes of the line.
pub(super) async fn note(admin: &Arc<Admin>, begun: AuditRecord, (code, detail): (&str, String)) {
    let record = AuditRecord { at: now(), outcome: code.to_owned(), detail, ..begun };
    if let Err(error) = keep(admin, record).await {
        tracing::error!(?error, "the outcome of an action could not be kept in the audit log");
    }
}
