//! The common parts of the admin routes in the OpenAPI document.

use std::collections::BTreeMap;

use utoipa::openapi::RefOr;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::{IntoParams, IntoResponses};

use super::super::error::{ApiError, documented};
use super::act::LONGEST_KEY;
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

/// The header of a request that may be repeated.
pub(super) struct IdempotencyKey;

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let key = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(LONGEST_KEY));
        let header = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .schema(Some(key))
            .example(Some("promote-2026-11-26".into()))
            .description(Some(
                "Makes the request safe to repeat; up to 200 characters. If it is repeated with the same key, nothing is \
                 done again: the response is that of the first request, with the header `Idempotency-Replayed: true`. A \
                 request that failed can be repeated. A different request with the same key gets a 422. If the server \
                 stopped before the outcome was recorded, a repetition gets a 409. Keys are remembered for seven days.",
            ));
        vec![header.build()]
    }
}
