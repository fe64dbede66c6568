//! What all admin routes have in common in the OpenAPI document.

use super::super::error::Problem;

/// The errors of an admin route, for the document.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code, reason = "describes answers; they are made from ApiError")]
pub(super) enum AdminProblems {
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
pub(super) struct IdempotencyKey {
    /// Names this very request, up to 200 characters. Repeated with the same key it does nothing again: the answer is that
    /// of the first time, with the header `Idempotency-Replayed: true`. What failed may be repeated. Another request with
    /// the key is a 422; one of which nobody knows whether it was done, for the server ended meanwhile, a 409. Keys are
    /// remembered for seven days.
    #[param(rename = "Idempotency-Key", example = "promote 2026-11-26")]
    idempotency_key: Option<String>,
}
