//! What all admin routes have in common in the OpenAPI document.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::RefOr;
use utoipa::openapi::response::Response;

use super::super::error::{ApiError, documented};
use crate::keys::Scope;

/// The problems of an admin route.
pub(super) struct AdminProblems;

impl IntoResponses for AdminProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[
            ApiError::MalformedBody(String::new()),
            ApiError::Unauthorized,
            ApiError::Forbidden(Scope::Read),
            ApiError::NotFound(String::new()),
            ApiError::AuditUnavailable(String::new()),
        ])
    }
}

/// The problems of an admin route that changes something.
pub(super) struct ActionProblems;

impl IntoResponses for ActionProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut problems = AdminProblems::responses();
        problems.extend(documented(&[
            ApiError::InvalidRequest(Vec::new()),
            ApiError::Conflict(String::new(), Vec::new()),
            ApiError::BodyTooLarge(0),
        ]));
        problems
    }
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
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 200,
        pattern = "^[!-~]+$",
        example = "promote 2026-11-26"
    )]
    idempotency_key: Option<String>,
}
