//! `GET /admin/jobs/{id}/data`: all that looks wrong in the rows of a job, as JSON or as a page for people.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::body::media::accepts;
use super::super::error::ApiError;
use super::super::state::AppState;
use super::documented::AdminProblems;
use super::jobs::job_id;
use super::keys::Caller;
use super::notes::blocking;
use crate::doctor::DataReport;
use crate::keys::Scope;

/// The page runs nothing and loads nothing, whatever stands in the cells of the file.
const HEADERS: [(HeaderName, &str); 2] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// What looks wrong in the rows of a job.
#[derive(Serialize, ToSchema)]
pub(super) struct JobDataReport {
    /// Name of the file.
    file: String,
    /// Doubted lines that were confirmed with the job.
    confirmed: Vec<u64>,
    #[serde(flatten)]
    report: DataReport,
}

/// Get what looks wrong in the rows of a job. Scope `read`.
///
/// Each finding has its line, its column, what was seen and expected, and the rows that speak against it. It is kept
/// with the job. With `Accept: text/html` the answer is a page for people.
#[utoipa::path(
    get, path = "/admin/jobs/{id}/data", tag = "admin", security(("admin_key" = [])),
    params(("id" = u64, Path, description = "Number of the job", example = 1)),
    responses(
        (status = 200, description = "What looks wrong",
            content((JobDataReport = "application/json"), (String = "text/html"))),
        AdminProblems,
    )
)]
pub(super) async fn job_data(
    State(state): State<AppState>,
    headers: HeaderMap,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Response, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "job.read", "").await?;
    let id = job_id(id)?;
    let page = accepts(&headers, "text/html");
    blocking(move || {
        let jobs = &caller.admin.jobs;
        let (job, report) = (jobs.get(id)?, jobs.data_report(id)?);
        if page {
            return Ok((HEADERS, Html(report.to_html(&job.data.file))).into_response());
        }
        let (file, confirmed) = (job.data.file, job.options.confirm);
        Ok(Json(JobDataReport { file, confirmed, report }).into_response())
    })
    .await
}
