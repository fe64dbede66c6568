//! Doing something for a caller: noted before and after, once for its key, and whole whether or not anyone waits.
//!
//! Its own so that every action that changes something goes through the same steps, in the same order.

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

/// A request that is repeated with the same value is answered again, and does nothing again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that it was done before.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key.
pub(super) const LONGEST_KEY: usize = 200;

/// What is asked for.
pub(super) struct Asked<'a> {
    /// As the audit log calls it.
    pub(super) action: &'a str,
    /// Of what.
    pub(super) target: &'a str,
    /// All else that makes it this very request.
    pub(super) with: serde_json::Value,
}

/// What was done.
pub(super) struct Done {
    answer: Answer,
    /// For the audit log.
    detail: String,
}

impl Done {
    pub(super) fn new(status: StatusCode, body: &impl Serialize, detail: String) -> Result<Self, ApiError> {
        let body = serde_json::to_value(body).map_err(ApiError::internal)?;
        Ok(Self { answer: Answer { status: status.as_u16(), location: None, body }, detail })
    }

    /// With where it can be found: relative to the address that was asked, so that it holds behind a proxy too, which may
    /// have put a prefix before it.
    pub(super) fn found_at(mut self, location: String) -> Self {
        self.answer.location = Some(location);
        self
    }
}

impl Caller {
    /// Does something: notes that it begins, does it, and notes that it was done or why not. All of it in a task of its
    /// own, so that a client which hangs up leaves nothing half done and nothing unsaid. A request with the key of an
    /// earlier one gets the answer that that one got, and waits for it where it is under way.
    ///
    /// # Errors
    /// 503 where the beginning cannot be noted: then nothing is done. 409 or 422 where the key does not allow it.
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

/// A request with a key.
struct Repeatable {
    admin: Arc<Admin>,
    key: String,
    /// Fingerprint of what is asked.
    asked: String,
}

impl Repeatable {
    /// Does it, or answers what was answered before.
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
            // What was done stands; who repeats it is told that nobody knows.
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
