//! `/admin/jobs/{id}/events`: a job as it goes, as server-sent events.

use std::convert::Infallible;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as FromState};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};

use super::super::error::ApiError;
use super::super::state::State;
use super::AdminProblems;
use super::jobs::job_id;
use super::keys::Caller;
use crate::jobs::{Job, Jobs};
use crate::keys::Scope;

/// A job as it goes: an event at every change, its name the state, its data the job. Ends with the job.
/// Scope `read`.
#[utoipa::path(
    get, path = "/admin/jobs/{id}/events", tag = "admin", security(("admin_key" = [])),
    params(("id" = u64, Path, description = "Number of the job", example = 1)),
    responses(
        (status = 200, body = String, content_type = "text/event-stream", description = "Server-sent events"),
        AdminProblems,
    )
)]
pub(super) async fn job_events(
    FromState(state): FromState<State>,
    headers: HeaderMap,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "job.read", "").await?;
    let jobs = caller.admin.jobs.clone();
    let id = job_id(id)?;
    jobs.get(id)?;
    let events = stream::unfold(Some((jobs, None)), move |state| async move {
        let (jobs, last) = state?;
        let job = next(&jobs, id, last.as_ref()).await?;
        let event = Event::default().event(job.state.name()).json_data(&job).ok()?;
        let rest = (!job.state.is_final()).then_some((jobs, Some(job)));
        Some((Ok(event), rest))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// The job as soon as it is not as it was; `None` when the server stops.
async fn next(jobs: &Jobs, id: u64, last: Option<&Job>) -> Option<Job> {
    let mut changes = jobs.changes();
    loop {
        let job = jobs.get(id).ok()?;
        if last != Some(&job) {
            return Some(job);
        }
        if jobs.is_stopping() || changes.changed().await.is_err() {
            return None;
        }
    }
}
