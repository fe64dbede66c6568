//! Replaces hyper's own error responses to invalid request heads by problem details.
//!
//! Hyper sends these responses before any route is called. They have no body and are not logged; the replacements are
//! logged and counted like all other errors.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::super::error::ApiError;
use super::super::request_id::fresh_id;
use crate::metrics::Metrics;

/// Position of the status code in the first line of a response.
const STATUS: std::ops::Range<usize> = 9..12;

/// The problem response that replaces a response which hyper generated; `None` for any other bytes.
pub(in crate::http) fn problem(bytes: &[u8], metrics: &Arc<Metrics>) -> Option<Vec<u8>> {
    let status = bytes.strip_prefix(b"HTTP/1.").and(bytes.get(STATUS))?;
    let error = match status {
        b"400" => ApiError::MalformedHead,
        b"414" => ApiError::UriTooLong,
        b"431" => ApiError::HeadTooLarge,
        _ => return None,
    };
    let (status, problem, id) = (error.status().as_u16(), error.code(), fresh_id());
    let request_id = id.to_str().unwrap_or_default();
    metrics.answered("other", "none", status, Duration::ZERO);
    metrics.refused(problem);
    info!(request_id, status, problem, "answered");
    Some(error.last_words(request_id))
}
