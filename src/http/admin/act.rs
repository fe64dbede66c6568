//! Runs actions of the admin API: each is recorded in the audit log before and after, is done once per idempotency key,
//! and completes even if the client disconnects.
//!
//! All actions that change something use [`Caller::act`], so they follow the same steps in the same order.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use tracing::Instrument;

use super::super::error::ApiError;
use super::keys::Caller;
use super::notes::{begun, blocking, keep, note};
use crate::admin::{Admin, Answer, RepeatError};
use crate::jobs::now;
use crate::model::sha256_hex;

/// A repeated request with the same key gets the first response again, without a second action.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks a response that repeats an earlier one.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key.
pub(super) const LONGEST_KEY: usize = 200;

/// A requested action.
pub(super) struct Asked<'a> {
    /// Its name in the audit log.
    pub(super) action: &'a str,
    /// The object of the action.
    pub(super) target: &'a str,
    /// All other content that identifies the request.
    pub(super) with: serde_json::Value,
}

/// The result of an action.
pub(super) struct Done {
    answer: Answer,
    /// The detail for the audit log.
    detail: String,
}

impl Done {
    pub(super) fn new(status: StatusCode, body: &impl Serialize, detail: String) -> Result<Self, ApiError> {
        let body = serde_json::to_value(body).map_err(ApiError::internal)?;
        Ok(Self { answer: Answer { status: status.as_u16(), location: None, body }, detail })
    }

    /// Sets the `Location` header. It is relative to the request's URL, so that it is also valid behind a proxy that
    /// adds a path prefix.
    pub(super) fn found_at(mut self, location: String) -> Self {
        self.answer.location = Some(location);
        self
    }
}

impl Caller {
    /// Runs an action: records its start, runs it, and records its outcome. It runs in a task of its own, so it
    /// completes and is recorded even if the client disconnects. A request with the key of an earlier one gets that
    /// one's response, and waits for it if it is still running.
    ///
    /// # Errors
    /// 503 if the start cannot be recorded; then nothing is done. 409 or 422 if the key does not allow the request.
    pub(super) async fn act(
        &self,
        headers: &HeaderMap,
        asked: Asked<'_>,
        work: impl Future<Output = Result<Done, ApiError>> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let begun = begun(headers, &self.name, asked.action, asked.target);
        let repeatable = idempotency_key(headers)?.map(|key| Repeatable {
            admin: Arc::clone(&self.admin),
            key: format!("{}\n{key}", self.name),
            asked: sha256_hex(json!([asked.action, asked.target, asked.with]).to_string().as_bytes()),
        });
        let admin = Arc::clone(&self.admin);
        let noted = async move {
            keep(&admin, begun.clone()).await?;
            let outcome = work.await;
            let told = match &outcome {
                Ok(done) => ("ok", done.detail.clone()),
                Err(error) => (error.code(), error.detail()),
            };
            note(&admin, begun, told).await;
            outcome.map(|done| done.answer)
        };
        let whole = async move {
            match repeatable {
                Some(repeatable) => repeatable.once(noted).await,
                None => noted.await.map(|answer| respond(answer, false)),
            }
        };
        let ended = tokio::spawn(whole.in_current_span()).await;
        ended.unwrap_or_else(|error| Err(ApiError::internal(error)))
    }
}

/// A request with an idempotency key.
struct Repeatable {
    admin: Arc<Admin>,
    key: String,
    /// Fingerprint of the request.
    asked: String,
}

impl Repeatable {
    /// Runs the action, or returns the earlier response.
    async fn once(self, work: impl Future<Output = Result<Answer, ApiError>>) -> Result<Response, ApiError> {
        let _turn = self.admin.once.turn(&self.key).await;
        let (admin, key, asked) = (Arc::clone(&self.admin), self.key.clone(), self.asked.clone());
        if let Some(before) = blocking(move || Ok(admin.once.begin(&key, &asked, now())?)).await? {
            return Ok(respond(before, true));
        }
        let outcome = work.await;
        let answer = outcome.as_ref().ok().cloned();
        let kept =
            blocking(move || self.admin.once.end(&self.key, &self.asked, now(), answer).map_err(ApiError::internal));
        if let Err(error) = kept.await {
            // The action itself is not affected. A repetition gets the error that the outcome is unknown.
            tracing::error!(?error, "the answer to a request could not be kept for its repetitions");
        }
        outcome.map(|answer| respond(answer, false))
    }
}

impl From<RepeatError> for ApiError {
    fn from(error: RepeatError) -> Self {
        match error {
            RepeatError::Other => Self::invalid("/Idempotency-Key", error.to_string()),
            RepeatError::Interrupted => Self::Conflict(error.to_string(), Vec::new()),
            RepeatError::Store(error) => Self::AuditUnavailable(error.to_string()),
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str().map(str::trim) {
        Ok(key) if !key.is_empty() && key.len() <= LONGEST_KEY && !key.contains('\t') => Ok(Some(key)),
        _ => Err(ApiError::invalid("/Idempotency-Key", format!("must be 1 to {LONGEST_KEY} plain characters"))),
    }
}

fn respond(answer: Answer, replayed: bool) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, Json(answer.body)).into_response();
    let location = answer.location.and_then(|location| HeaderValue::from_str(&location).ok());
    response.headers_mut().extend(location.map(|location| (header::LOCATION, location)));
    if replayed {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
