//! The common parts of the admin routes in the OpenAPI document.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::RefOr;
use utoipa::openapi::response::Response;

use super::super::error::{ApiError, documented};
use crate::keys::Scope;

/// The error responses of an admin route.
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

/// The error responses of an admin route that changes something.
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

/// The `Idempotency-Key` header, for the OpenAPI document.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes a header; it is read where actions are done")]
pub(super) struct IdempotencyKey {
    /// Makes the request safe to repeat; up to 200 characters. If it is repeated with the same key, nothing is done
    /// again: the response is that of the first request, with the header `Idempotency-Replayed: true`. A request that
    /// failed can be repeated. A different request with the same key gets a 422. If the server stopped before the
    /// outcome was recorded, a repetition gets a 409. Keys are remembered for seven days.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 200,
        pattern = "^[!-~]+$",
        example = "promote 2026-11-26"
    )]
    idempotency_key: Option<String>,
}
