//! `/admin/jobs/{id}/events`: the progress of a job as server-sent events.
//!
//! The stream ends when the job ends or when the key of the request is revoked. Each event contains the whole job, and
//! its id is a fingerprint of it. So a client that reconnects with the last id misses nothing, even if the server was
//! restarted.

use std::convert::Infallible;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::super::error::ApiError;
use super::super::state::AppState;
use super::documented::AdminProblems;
use super::jobs::job_id;
use super::keys::Caller;
use crate::jobs::{Job, Jobs};
use crate::keys::Scope;
use crate::model::sha256_hex;

/// The id of the last event that the client received.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Without this header nginx buffers several kilobytes of events.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
/// Length of an id: enough to distinguish two states of one job.
const ID_LENGTH: usize = 16;

/// Stream the progress of a job as server-sent events. Scope `read`.
///
/// An event is sent at every change; its name is the job's state, its data the job. The stream ends with the job, or
/// within one or two seconds after its key was revoked.
///
/// A client that reconnects with the id of the last event (`Last-Event-ID`) gets what has changed since. If the job has
/// ended and that event was the last, the response is a 204, after which an `EventSource` does not reconnect.
#[utoipa::path(
    get, path = "/admin/jobs/{id}/events", tag = "admin", security(("admin_key" = [])),
    params(
        ("id" = u64, Path, description = "Number of the job", example = 1),
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event that the client received"),
    ),
    responses(
        (status = 200, body = JobEvent, content_type = "text/event-stream", description = "Server-sent events"),
        (status = 204, description = "The job has ended, and the client has received its last event"),
        AdminProblems,
    )
)]
pub(super) async fn job_events(
    State(state): State<AppState>,
    headers: HeaderMap,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Response, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "job.read", "").await?;
    let jobs = caller.admin.jobs.clone();
    let id = job_id(id)?;
    let job = jobs.get(id)?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|seen| seen.to_str().ok()).map(str::to_owned);
    if job.state.is_final() && seen == Snapshot::of(&job).map(|snapshot| snapshot.id) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = stream::unfold(Some((jobs, seen)), move |state| async move {
        let (jobs, seen) = state?;
        let (job, Snapshot { id, text }) = next(&jobs, id, seen.as_deref()).await?;
        let event = Event::default().event(job.state.name()).id(id.clone()).data(text);
        let rest = (!job.state.is_final()).then_some((jobs, Some(id)));
        Some((Ok::<_, Infallible>(event), rest))
    });
    let events = events.take_until(caller.revoked(Scope::Read));
    Ok(([UNBUFFERED], Sse::new(events).keep_alive(KeepAlive::default())).into_response())
}

/// One event, for the OpenAPI document.
pub(super) struct JobEvent;

impl PartialSchema for JobEvent {
    fn schema() -> RefOr<Schema> {
        let text = |what: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(what));
        ObjectBuilder::new()
            .property("event", text("The job's state"))
            .property("id", text("Send it as `Last-Event-ID` to go on from here"))
            .property("data", text("The job, as JSON"))
            .into()
    }
}

impl ToSchema for JobEvent {}

/// The content of an event.
struct Snapshot {
    id: String,
    text: String,
}

impl Snapshot {
    fn of(job: &Job) -> Option<Self> {
        let text = serde_json::to_string(job).ok()?;
        let id = sha256_hex(text.as_bytes()).chars().take(ID_LENGTH).collect();
        Some(Self { id, text })
    }
}

/// Waits until the job differs from the last event; `None` when the server stops or the job was removed.
async fn next(jobs: &Jobs, id: u64, seen: Option<&str>) -> Option<(Job, Snapshot)> {
    let mut changes = jobs.changes();
    loop {
        let job = jobs.get(id).ok()?;
        let snapshot = Snapshot::of(&job)?;
        if seen != Some(snapshot.id.as_str()) {
            return Some((job, snapshot));
        }
        if jobs.is_stopping() || changes.changed().await.is_err() {
            return None;
        }
    }
}
