//! `/admin/jobs`: starts, lists and shows retraining jobs.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::super::body::extract::typed_json;
use super::super::body::media::essence;
use super::super::error::{ApiError, Problem};
use super::super::state::AppState;
use super::act::{Asked, Done};
use super::documented::{ActionProblems, AdminProblems, IdempotencyKey};
use super::form::read_form;
use super::job_body::{JobBody, JobForm, JobRequest as JobRequestBody, MOST_OPTION_BYTES};
use super::keys::Caller;
use super::notes::blocking;
use crate::jobs::{DataSource, Job, JobDoubts, JobError, JobOptions, JobRequest, Jobs, Upload};
use crate::keys::Scope;

/// One job with all details.
#[derive(Serialize, ToSchema)]
pub(super) struct JobDetail {
    #[serde(flatten)]
    job: Job,
    /// The end of the training log.
    log_tail: String,
    /// Scores by protocol and the comparison with the active version, from the candidate's report.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metrics: Option<serde_json::Value>,
}

/// The list of jobs.
#[derive(Serialize, ToSchema)]
pub(super) struct JobList {
    /// Newest first.
    jobs: Vec<Job>,
}

/// A job that was just accepted.
#[derive(Serialize, ToSchema)]
pub(super) struct AcceptedJob {
    #[serde(flatten)]
    job: Job,
    /// URL of all that looks wrong in its rows, relative to the request's URL.
    #[schema(example = "jobs/1/data")]
    data_report: String,
}

/// Start a retraining job. Scope `train`.
///
/// Upload the rows (`multipart/form-data` with `options` and `data`, and `evidence` if the model's recipe names some), or
/// name a file in the server's folder of data files or an earlier job (JSON). Every cell is checked before the job is
/// accepted, and `doubts` says how many rows look wrong. `strict` refuses such rows; `confirm` names those that are right
/// all the same. The job produces a candidate
/// version; it never changes the active version.
#[utoipa::path(
    post, path = "/admin/jobs", tag = "admin", security(("admin_key" = [])),
    params(IdempotencyKey),
    request_body(content(
        (JobForm = "multipart/form-data", encoding(("options" = (content_type = "application/json")))),
        (JobRequestBody = "application/json"),
    )),
    responses(
        (status = 202, body = AcceptedJob, description = "Accepted; see the Location header",
            headers(("location" = String, description = "URL of the job, relative to the request's URL")),
            links(
                ("the job" = (operation_id = "show_job", parameters(("id" = "$response.body#/id")))),
                ("what looks wrong in its rows" =
                    (operation_id = "job_data", parameters(("id" = "$response.body#/id")))),
                ("its events" = (operation_id = "job_events", parameters(("id" = "$response.body#/id")))),
                ("to cancel it" = (operation_id = "cancel_job", parameters(("id" = "$response.body#/id")))),
                ("to remove it" = (operation_id = "remove_job", parameters(("id" = "$response.body#/id")))),
            )),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "body_too_large"),
        (status = 429, body = Problem, content_type = "application/problem+json",
            description = "overloaded: too many jobs are waiting"),
        ActionProblems,
    )
)]
pub(super) async fn create_job(State(state): State<AppState>, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let caller = Caller::identify(&state, &headers, Scope::Train, "job.create", "").await?;
    let most_bytes = caller.admin.config.upload_bytes;
    let (body, data, evidence) = read_request(&state, &caller.admin.jobs, request, most_bytes).await?;
    let JobBody { model, seed, folds, encoding, sheet, map, strict, confirm, .. } = body;
    let options = JobOptions { seed, folds, encoding, sheet, map, strict, confirm };
    let mut with = json!({ "data": data.named(), "options": options });
    if !evidence.is_empty() {
        with["evidence"] = evidence.iter().map(Upload::named).collect();
    }
    let asked = Asked { action: "job.create", target: &model, with };
    let request = JobRequest { model: model.clone(), data, evidence, most_bytes, options, by: caller.name.clone() };
    let jobs = caller.admin.jobs.clone();
    let work = async move {
        let job = jobs.submit(request).await?;
        let detail = format!("job {}: {} rows, data {}{}", job.id, job.data.rows, job.data.sha256, doubted(&job));
        let place = format!("jobs/{}", job.id);
        let accepted = AcceptedJob { data_report: format!("{place}/data"), job };
        Ok(Done::new(StatusCode::ACCEPTED, &accepted, detail)?.found_at(place))
    };
    caller.act(&headers, asked, work).await
}

/// How many rows look wrong, for the audit log.
fn doubted(job: &Job) -> String {
    match &job.doubts {
        Some(JobDoubts { found, unconfirmed_rows }) if found.doubted_rows > 0 => {
            format!("; {} doubted rows, {unconfirmed_rows} not confirmed", found.doubted_rows)
        }
        _ => String::new(),
    }
}

async fn read_request(
    state: &AppState,
    jobs: &Jobs,
    request: Request,
    most_bytes: u64,
) -> Result<(JobBody, DataSource, Vec<Upload>), ApiError> {
    match essence(request.headers()).as_str() {
        "multipart/form-data" => return read_form(jobs, request, most_bytes).await,
        "application/json" => {}
        _ => {
            let detail = "send multipart/form-data (options and data) or application/json".to_owned();
            return Err(ApiError::UnsupportedMediaType(detail));
        }
    }
    let (head, body) = request.into_parts();
    let read = state.admin_admission().read(&head.headers, body, MOST_OPTION_BYTES).await?;
    let body: JobBody = typed_json(&read.bytes, "")?;
    let data = match (&body.data, body.data_of_job) {
        (Some(file), None) => DataSource::File(file.clone()),
        (None, Some(id)) => DataSource::Job(id),
        _ => return Err(ApiError::invalid("/data", "name a file (data), or a job (data_of_job), or upload the rows")),
    };
    Ok((body, data, Vec::new()))
}

/// List all jobs. Scope `read`.
#[utoipa::path(
    get, path = "/admin/jobs", tag = "admin", security(("admin_key" = [])),
    responses((status = 200, body = JobList, description = "All jobs, newest first"), AdminProblems)
)]
pub(super) async fn list_jobs(State(state): State<AppState>, headers: HeaderMap) -> Result<Json<JobList>, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "job.read", "").await?;
    Ok(Json(JobList { jobs: caller.admin.jobs.list() }))
}

/// Get one job: state, progress, time left, losses, scores and the end of its log. Scope `read`.
#[utoipa::path(
    get, path = "/admin/jobs/{id}", tag = "admin", security(("admin_key" = [])),
    params(("id" = u64, Path, description = "Number of the job", example = 1)),
    responses((status = 200, body = JobDetail, description = "The job"), AdminProblems)
)]
pub(super) async fn show_job(
    State(state): State<AppState>,
    headers: HeaderMap,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<JobDetail>, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "job.read", "").await?;
    let id = job_id(id)?;
    blocking(move || {
        let jobs = &caller.admin.jobs;
        let job = jobs.get(id)?;
        let (library, version) = (caller.admin.writer.library(), job.version.as_ref());
        // An unreadable report is shown with the version; the job is shown without it.
        let version = version.and_then(|version| library.version(&job.model, version).ok().flatten());
        let report = version.and_then(|version| version.report().ok().flatten());
        Ok(Json(JobDetail { log_tail: jobs.log_tail(id), metrics: report.and_then(|text| metrics(&text)), job }))
    })
    .await
}

/// The scores in a report, without the predictions of every row, which the version's report contains.
fn metrics(report: &str) -> Option<serde_json::Value> {
    let mut report: serde_json::Value = serde_json::from_str(report).ok()?;
    Some(json!({ "protocols": report["protocols"].take(), "comparison": report["comparison"].take() }))
}

pub(super) fn job_id(id: Result<Path<u64>, PathRejection>) -> Result<u64, ApiError> {
    id.map(|Path(id)| id).map_err(|_| ApiError::NotFound("jobs have numbers; see /admin/jobs".to_owned()))
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Invalid(violations) => Self::InvalidRequest(violations),
            JobError::TooLarge(limit) => Self::BodyTooLarge(usize::try_from(limit).unwrap_or(usize::MAX)),
            JobError::Full(_) => Self::Overloaded,
            JobError::NotFound(_) | JobError::NotExamined(_) | JobError::NoModel(_) => {
                Self::NotFound(error.to_string())
            }
            JobError::Ended(..) | JobError::Unended(..) | JobError::Busy(..) => {
                Self::Conflict(error.to_string(), Vec::new())
            }
            JobError::Stopping => Self::NotReady,
            JobError::Io(_) | JobError::Store(_) | JobError::Registry(_) | JobError::Join(_) => Self::internal(error),
        }
    }
}
