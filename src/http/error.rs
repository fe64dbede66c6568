//! Every error a client can see, as RFC 9457 `application/problem+json`. This is the only file with error status codes.
//!
//! The causes of internal failures are only logged, not sent to clients.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::openapi::content::Content;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoResponses, ToSchema};

use super::request_id::REQUEST_ID;
use crate::batcher::SubmitError;
use crate::domain::{MOST_VIOLATIONS, Violation};
use crate::keys::Scope;

/// How long a refused client should wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error response.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ApiError {
    /// The body is not JSON or not CSV, or it is incomplete.
    MalformedBody(String),
    /// A content type that no route reads.
    UnsupportedMediaType(String),
    /// A body over the limit for its type.
    BodyTooLarge(usize),
    /// A table over a limit; the text says which one.
    TableTooLarge(String),
    /// Fields that are unknown, missing, of the wrong type or not physical; and the models that would accept the input.
    InvalidSample(Vec<Violation>, Vec<String>),
    /// No such route, model or version.
    NotFound(String),
    /// The route exists, but not for this method.
    MethodNotAllowed,
    /// Invalid fields of an admin request: options, a recipe, cells of a training file.
    InvalidRequest(Vec<Violation>),
    /// No admin key, or an unknown one.
    Unauthorized,
    /// The admin key does not have the required scope.
    Forbidden(Scope),
    /// The request conflicts with the current state; and the objections to it.
    Conflict(String, Vec<String>),
    /// The audit log cannot be written, so nothing is changed; the cause is for the log only.
    AuditUnavailable(String),
    /// An internal failure, such as of storage; the cause is for the log only.
    Internal(String),
    /// The queue is full.
    Overloaded,
    /// The server is loading or draining.
    NotReady,
    /// The model is installed, but its active version cannot be loaded or does not answer; the text says why.
    ModelUnavailable(String),
    /// Forward passes on the device keep failing. Only health checks return this; predictions are still tried.
    DeviceFailing,
    /// The forward pass failed; the cause is for the log only.
    InferenceFailed(String),
    /// The response took longer than the deadline.
    DeadlineExceeded(Duration),
    /// The rest of the body did not arrive while other requests needed its room.
    BodyTooSlow,
    /// The head of the request is not valid HTTP.
    MalformedHead,
    /// The URI is too long.
    UriTooLong,
    /// The head of the request is too long, or has too many header fields.
    HeadTooLarge,
}

/// Response extension for logs and metrics: the code of the problem.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProblemCode(pub(super) &'static str);

/// RFC 9457 problem details.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Identifies the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:mcvn:problem:invalid_sample")]
    kind: String,
    /// The kind of problem in words.
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What went wrong in this request.
    detail: String,
    /// The kind of problem, as a code for programs.
    #[schema(example = "invalid_sample")]
    code: &'static str,
    /// Id of the request, as in the `x-request-id` header and the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// For 422: every invalid field. For 409: the objections.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Other models of the route that accept the given process parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models_that_take_this_input: Vec<String>,
}

/// One invalid field.
#[derive(Debug, Serialize, ToSchema)]
struct FieldError {
    /// JSON pointer (RFC 6901) to the field; in a table, `/` and the name of the column.
    #[schema(example = "/composition/Xx")]
    pointer: String,
    /// The error in the field.
    #[schema(example = "\"Xx\" is not a chemical element")]
    detail: String,
}

/// The responses of these problems for the OpenAPI document, described by the same code that renders them.
pub(super) fn documented(problems: &[ApiError]) -> BTreeMap<String, RefOr<Response>> {
    let mut described: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for problem in problems {
        let (code, title) = problem.code_and_title();
        described.entry(problem.status().as_str().to_owned()).or_default().push(format!("{code}: {title}"));
    }
    let response = |words: Vec<String>| {
        let content = Content::new(Some(Ref::from_schema_name(Problem::name())));
        ResponseBuilder::new().description(words.join("; ")).content("application/problem+json", content).build()
    };
    described.into_iter().map(|(status, words)| (status, response(words).into())).collect()
}

/// The error responses of a prediction.
pub(super) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[
            ApiError::MalformedBody(String::new()),
            ApiError::NotFound(String::new()),
            ApiError::BodyTooLarge(0),
            ApiError::UnsupportedMediaType(String::new()),
            ApiError::InvalidSample(Vec::new(), Vec::new()),
            ApiError::InferenceFailed(String::new()),
            ApiError::NotReady,
            ApiError::ModelUnavailable(String::new()),
        ])
    }
}

/// The error responses that any route may return.
pub(super) fn common_problems() -> BTreeMap<String, RefOr<Response>> {
    documented(&[
        ApiError::MalformedHead,
        ApiError::MethodNotAllowed,
        ApiError::BodyTooSlow,
        ApiError::UriTooLong,
        ApiError::UnsupportedMediaType(String::new()),
        ApiError::Overloaded,
        ApiError::HeadTooLarge,
        ApiError::Internal(String::new()),
        ApiError::NotReady,
        ApiError::DeadlineExceeded(Duration::ZERO),
    ])
}

impl ApiError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::MalformedBody(_) => StatusCode::BAD_REQUEST,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge(_) | Self::TableTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidSample(..) | Self::InvalidRequest(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Conflict(..) => StatusCode::CONFLICT,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::MalformedHead => StatusCode::BAD_REQUEST,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NotReady | Self::DeviceFailing | Self::ModelUnavailable(_) | Self::AuditUnavailable(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::InferenceFailed(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::DeadlineExceeded(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// An error for one invalid field of an admin request.
    pub(super) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::InvalidRequest(vec![Violation::new(pointer, detail)])
    }

    /// An internal failure; its cause is only logged.
    pub(super) fn internal(cause: impl std::fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }

    /// The kind of problem, as a code for programs.
    pub(super) fn code(&self) -> &'static str {
        self.code_and_title().0
    }

    fn code_and_title(&self) -> (&'static str, &'static str) {
        match self {
            Self::MalformedBody(_) => ("malformed_body", "The body cannot be read"),
            Self::UnsupportedMediaType(_) => ("unsupported_media_type", "The content type is not understood"),
            Self::BodyTooLarge(_) | Self::TableTooLarge(_) => ("body_too_large", "The body is too large"),
            Self::InvalidSample(..) => ("invalid_sample", "The input is not a valid sample"),
            Self::InvalidRequest(_) => ("invalid_request", "The request is not valid"),
            Self::Unauthorized => ("unauthorized", "An admin key is needed"),
            Self::Forbidden(_) => ("forbidden", "The admin key is not for this"),
            Self::Conflict(..) => ("conflict", "In conflict with what there is"),
            Self::AuditUnavailable(_) => ("audit_unavailable", "The audit log cannot be written"),
            Self::Internal(_) => ("internal", "The server failed"),
            Self::NotFound(_) => ("not_found", "Not found"),
            Self::MethodNotAllowed => ("method_not_allowed", "The method is not allowed here"),
            Self::Overloaded => ("overloaded", "Too much is waiting"),
            Self::BodyTooSlow => ("body_too_slow", "The body came too slowly"),
            Self::MalformedHead => ("malformed_head", "The head of the request cannot be read"),
            Self::UriTooLong => ("uri_too_long", "The address is too long"),
            Self::HeadTooLarge => ("head_too_large", "The head of the request is too large"),
            Self::NotReady | Self::DeviceFailing => ("not_ready", "Not ready"),
            Self::ModelUnavailable(_) => ("model_unavailable", "The model is unavailable"),
            Self::InferenceFailed(_) => ("inference_failed", "The prediction failed"),
            Self::DeadlineExceeded(_) => ("deadline_exceeded", "The answer took too long"),
        }
    }

    /// What went wrong in this request, for the client.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Conflict(detail, objections) if objections.is_empty() => detail.clone(),
            Self::Conflict(detail, objections) => format!("{}; {detail}", objections.join("; ")),
            Self::Unauthorized => "send `Authorization: Bearer KEY`".to_owned(),
            Self::Forbidden(scope) => format!("it has not the scope {}", scope.name()),
            Self::MalformedBody(detail)
            | Self::NotFound(detail)
            | Self::UnsupportedMediaType(detail)
            | Self::TableTooLarge(detail)
            | Self::ModelUnavailable(detail) => detail.clone(),
            Self::BodyTooLarge(limit) => format!("the limit is {limit} bytes"),
            Self::InvalidSample(violations, _) | Self::InvalidRequest(violations) => match violations.as_slice() {
                [only] if only.pointer.is_empty() => only.detail.clone(),
                [only] => format!("{}: {}", only.pointer, only.detail),
                several if several.len() > MOST_VIOLATIONS => {
                    format!("more than {MOST_VIOLATIONS} fields are wrong; see errors for the first")
                }
                several => format!("{} fields are wrong; see errors", several.len()),
            },
            Self::MethodNotAllowed => "see the Allow header".to_owned(),
            Self::Overloaded => "the queue is full; try again after Retry-After seconds".to_owned(),
            Self::BodyTooSlow => {
                "the rest of the body did not come while others needed its room; send it again, without pauses".to_owned()
            }
            Self::MalformedHead => {
                "its first lines must be an HTTP request: lines end with CR LF, and there is one Host".to_owned()
            }
            Self::UriTooLong => "put what is long into the body".to_owned(),
            Self::HeadTooLarge => "the limit is 32 KiB and 100 fields; put what is long into the body".to_owned(),
            Self::NotReady => "the server is starting or stopping".to_owned(),
            Self::DeviceFailing => "passes of the device keep failing; the cause is in the server's log".to_owned(),
            Self::AuditUnavailable(_) => {
                "nothing was changed: what cannot be noted is not done; is the disk full? The cause is in the server's log".to_owned()
            }
            Self::InferenceFailed(_) | Self::Internal(_) => {
                "the cause is in the server's log under this request_id".to_owned()
            }
            Self::DeadlineExceeded(deadline) => format!("no answer within {} s", deadline.as_secs_f64()),
        }
    }

    /// The complete HTTP/1 response, after which the connection is closed.
    pub(super) fn last_words(&self, request_id: &str) -> Vec<u8> {
        let body = serde_json::to_string(&self.problem(Some(request_id.to_owned()))).unwrap_or_default();
        let (status, length) = (self.status(), body.len());
        let kind = "content-type: application/problem+json\r\nconnection: close";
        format!("HTTP/1.1 {status}\r\n{kind}\r\n{REQUEST_ID}: {request_id}\r\ncontent-length: {length}\r\n\r\n{body}")
            .into_bytes()
    }

    fn problem(&self, request_id: Option<String>) -> Problem {
        let (code, title) = self.code_and_title();
        let field =
            |violation: &Violation| FieldError { pointer: violation.pointer.clone(), detail: violation.detail.clone() };
        let errors = match self {
            Self::InvalidSample(violations, _) | Self::InvalidRequest(violations) => {
                violations.iter().take(MOST_VIOLATIONS).map(field).collect()
            }
            Self::Conflict(_, objections) => objections.iter().map(|text| field(&Violation::new("", text))).collect(),
            _ => Vec::new(),
        };
        let models_that_take_this_input = match self {
            Self::InvalidSample(_, models) => models.clone(),
            _ => Vec::new(),
        };
        Problem {
            kind: format!("urn:mcvn:problem:{code}"),
            title,
            status: self.status().as_u16(),
            detail: self.detail(),
            code,
            request_id,
            errors,
            models_that_take_this_input,
        }
    }
}

impl From<Vec<Violation>> for ApiError {
    fn from(violations: Vec<Violation>) -> Self {
        Self::InvalidSample(violations, Vec::new())
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Overloaded => Self::Overloaded,
            SubmitError::Closed => Self::NotReady,
            SubmitError::Failed(cause) => Self::InferenceFailed(cause),
        }
    }
}

/// The body is written by [`render`], which knows the request id.
impl IntoResponse for ApiError {
    fn into_response(self) -> axum::response::Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of an error response and logs internal failures. Each failure is logged once, here.
pub(super) fn render(id: Option<&HeaderValue>, mut response: axum::response::Response) -> axum::response::Response {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
    let id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
    if let ApiError::InferenceFailed(cause) | ApiError::Internal(cause) | ApiError::AuditUnavailable(cause) = &error {
        tracing::error!(cause, "{}", error.code());
    }
    let (code, _) = error.code_and_title();
    let mut rendered = (error.status(), Json(error.problem(id))).into_response();
    // Other headers that the router set are kept, such as the `Allow` header of a 405.
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            rendered.headers_mut().insert(name.clone(), value.clone());
        }
    }
    let headers = rendered.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if matches!(
        error,
        ApiError::Overloaded
            | ApiError::BodyTooSlow
            | ApiError::NotReady
            | ApiError::DeviceFailing
            | ApiError::AuditUnavailable(_)
    ) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
    }
    if error == ApiError::Unauthorized {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"mcvn admin\""));
    }
    rendered.extensions_mut().insert(ProblemCode(code));
    rendered
}
