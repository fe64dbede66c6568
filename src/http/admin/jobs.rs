//! `/admin/jobs`: retraining.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, Multipart, Path, Request, State as FromState};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::error::{ApiError, Problem};
use super::super::extract::{read_body, typed_json};
use super::super::state::State;
use super::keys::Caller;
use super::{AdminProblems, blocking, made};
use crate::domain::Violation;
use crate::jobs::{DataSource, Job, JobError, JobOptions, JobRequest, Jobs};
use crate::keys::Scope;
use crate::registry;

/// A request that is repeated with the same value starts nothing new.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that the job was there already.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The options of a job need no more.
const MOST_OPTION_BYTES: usize = 64_000;

/// What to retrain, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JobBody {
    /// The model, by name.
    #[schema(example = "steel-lab42")]
    model: String,
    /// Name of a table in the configured folder of data files (not with an upload).
    data: Option<String>,
    /// The data of an earlier job, by its number (not with an upload).
    data_of_job: Option<u64>,
    /// Seed of everything random.
    #[serde(default = "default_seed")]
    #[schema(default = 7)]
    seed: u64,
    /// Folds of the cross-validation, 2 to 10.
    #[serde(default = "default_folds")]
    #[schema(default = 3)]
    folds: usize,
    /// Encoding of the data, where it is not to be guessed.
    encoding: Option<String>,
    /// Sheet of a workbook, by name or by number from 1; the first one that is not empty where none is given.
    sheet: Option<String>,
    /// What columns are, as `COLUMN=FIELD`.
    #[serde(default)]
    #[schema(example = json!(["AlT=Al"]))]
    map: Vec<String>,
}

fn default_seed() -> u64 {
    7
}

fn default_folds() -> usize {
    3
}

/// A multipart request: the options as JSON, the rows as a table (CSV or a workbook).
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes bodies; they are read part by part")]
pub(super) struct JobForm {
    /// JSON, as the JSON form of this request, without `data`.
    options: String,
    /// A table with the columns that the model's recipe names.
    #[schema(value_type = String, format = Binary)]
    data: Vec<u8>,
}

/// One job in full.
#[derive(Serialize, ToSchema)]
pub(super) struct JobDetail {
    #[serde(flatten)]
    job: Job,
    /// The end of what the training wrote to its log.
    log_tail: String,
    /// Scores by protocol, and the comparison with the version in use: from the candidate's report.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metrics: Option<serde_json::Value>,
}

/// Jobs.
#[derive(Serialize, ToSchema)]
pub(super) struct JobList {
    /// Latest first.
    jobs: Vec<Job>,
}

/// Start a retraining. Scope `train`.
///
/// Send the rows (`multipart/form-data` with `options` and `data`), or name a file of the configured folder
/// (JSON). Every cell is checked before the job is accepted. The job leaves a candidate, never an active
/// version. With an `Idempotency-Key` header a repeated request gives the same job.
#[utoipa::path(
    post, path = "/admin/jobs", tag = "admin", security(("admin_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this very request; up to 200 characters")),
    request_body(content((JobForm = "multipart/form-data"), (JobBody = "application/json"))),
    responses(
        (status = 202, body = Job, description = "Accepted; see the Location header"),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "body_too_large"),
        (status = 422, body = Problem, content_type = "application/problem+json",
            description = "invalid_request: bad options, or bad cells by line and column"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "overloaded: too many jobs wait"),
        AdminProblems,
    )
)]
pub(super) async fn create_job(FromState(state): FromState<State>, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let caller = Caller::identify(&state, &headers, Scope::Train, "job.create", "").await?;
    let idempotency_key = idempotency_key(&headers)?;
    let most_bytes = caller.admin.config.upload_bytes;
    let (body, data) = read_request(&caller.admin.jobs, request, most_bytes).await?;
    let JobBody { model, seed, folds, encoding, sheet, map, .. } = body;
    let request = JobRequest {
        model: model.clone(),
        data,
        options: JobOptions { seed, folds, encoding, sheet, map },
        by: caller.name.clone(),
        idempotency_key,
    };
    let jobs = caller.admin.jobs.clone();
    let work = async move {
        let (job, new) = jobs.submit(request).await?;
        let detail = format!("job {}: {} rows, data {}", job.id, job.data.rows, job.data.sha256);
        Ok(((job, new), detail))
    };
    let (job, new) = caller.act(&headers, "job.create", &model, work).await?;
    let location = format!("/admin/jobs/{}", job.id);
    let mut response = made(StatusCode::ACCEPTED, &location, job);
    if !new {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.trim().is_empty() && key.len() <= 200 => Ok(Some(key.trim().to_owned())),
        _ => Err(ApiError::invalid("/Idempotency-Key", "must be 1 to 200 plain characters")),
    }
}

async fn read_request(jobs: &Jobs, request: Request, most_bytes: u64) -> Result<(JobBody, DataSource), ApiError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    if content_type.starts_with("multipart/form-data") {
        let form = Multipart::from_request(request, &()).await;
        return read_form(jobs, form.map_err(|error| ApiError::MalformedBody(error.body_text()))?, most_bytes).await;
    }
    if !content_type.starts_with("application/json") {
        let detail = "send multipart/form-data (options and data) or application/json".to_owned();
        return Err(ApiError::UnsupportedMediaType(detail));
    }
    let headers = request.headers().clone();
    let bytes = read_body(&headers, request.into_body(), MOST_OPTION_BYTES).await?;
    let body: JobBody = typed_json(&bytes, "")?;
    let data = match (&body.data, body.data_of_job) {
        (Some(file), None) => DataSource::File(file.clone()),
        (None, Some(id)) => DataSource::Job(id),
        _ => return Err(ApiError::invalid("/data", "name a file (data), or a job (data_of_job), or upload the rows")),
    };
    Ok((body, data))
}

async fn read_form(jobs: &Jobs, mut form: Multipart, most_bytes: u64) -> Result<(JobBody, DataSource), ApiError> {
    let malformed = |error: axum::extract::multipart::MultipartError| ApiError::MalformedBody(error.body_text());
    let (mut body, mut upload) = (None, None);
    while let Some(mut field) = form.next_field().await.map_err(malformed)? {
        match field.name() {
            Some("options") if body.is_some() => return Err(ApiError::invalid("/options", "given twice")),
            Some("data") if upload.is_some() => return Err(ApiError::invalid("/data", "given twice")),
            Some("options") => {
                let mut bytes = Vec::new();
                while let Some(chunk) = field.chunk().await.map_err(malformed)? {
                    bytes.extend_from_slice(&chunk);
                    if bytes.len() > MOST_OPTION_BYTES {
                        return Err(ApiError::BodyTooLarge(MOST_OPTION_BYTES));
                    }
                }
                body = Some(typed_json::<JobBody>(&bytes, "/options")?);
            }
            Some("data") => {
                let mut file = jobs.receive(field.file_name().unwrap_or("data.csv"), most_bytes)?;
                while let Some(chunk) = field.chunk().await.map_err(malformed)? {
                    file.write(&chunk)?;
                }
                upload = Some(file);
            }
            other => {
                let name = other.unwrap_or_default().chars().take(60).collect::<String>();
                return Err(ApiError::invalid(Violation::child("", &name), "unknown part; known are options, data"));
            }
        }
    }
    let body = body.ok_or_else(|| ApiError::invalid("/options", "is missing: a part with JSON"))?;
    if body.data.is_some() || body.data_of_job.is_some() {
        return Err(ApiError::invalid("/options/data", "the rows come with this request"));
    }
    let upload = upload.ok_or_else(|| ApiError::invalid("/data", "is missing: a part with the table"))?;
    Ok((body, DataSource::Upload(upload)))
}

/// All jobs. Scope `read`.
#[utoipa::path(
    get, path = "/admin/jobs", tag = "admin", security(("admin_key" = [])),
    responses((status = 200, body = JobList, description = "All jobs, latest first"), AdminProblems)
)]
pub(super) async fn list_jobs(
    FromState(state): FromState<State>,
    headers: HeaderMap,
) -> Result<Json<JobList>, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "job.read", "").await?;
    Ok(Json(JobList { jobs: caller.admin.jobs.list() }))
}

/// One job: state, progress, time left, losses, scores, the end of its log. Scope `read`.
#[utoipa::path(
    get, path = "/admin/jobs/{id}", tag = "admin", security(("admin_key" = [])),
    params(("id" = u64, Path, description = "Number of the job", example = 1)),
    responses((status = 200, body = JobDetail, description = "The job"), AdminProblems)
)]
pub(super) async fn show_job(
    FromState(state): FromState<State>,
    headers: HeaderMap,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<JobDetail>, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "job.read", "").await?;
    let id = job_id(id)?;
    blocking(move || {
        let jobs = &caller.admin.jobs;
        let job = jobs.get(id)?;
        let folder = job.version.as_ref();
        let folder = folder.and_then(|version| registry::find(caller.admin.writer.folders(), &job.model, version));
        let report = match folder {
            Some(folder) => registry::report(&folder).map_err(ApiError::internal)?,
            None => None,
        };
        Ok(Json(JobDetail { log_tail: jobs.log_tail(id), metrics: report.and_then(|text| metrics(&text)), job }))
    })
    .await
}

/// The part of a report that is about scores: the answers of every row are in the version's report.
fn metrics(report: &str) -> Option<serde_json::Value> {
    let mut report: serde_json::Value = serde_json::from_str(report).ok()?;
    Some(serde_json::json!({ "protocols": report["protocols"].take(), "comparison": report["comparison"].take() }))
}

/// Cancel a job. Scope `train`.
///
/// A waiting job never starts, a running one ends within a second.
#[utoipa::path(
    delete, path = "/admin/jobs/{id}", tag = "admin", security(("admin_key" = [])),
    params(("id" = u64, Path, description = "Number of the job", example = 1)),
    responses(
        (status = 200, body = Job, description = "The job, cancelled"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "conflict: it has ended"),
        AdminProblems,
    )
)]
pub(super) async fn cancel_job(
    FromState(state): FromState<State>,
    headers: HeaderMap,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<Job>, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Train, "job.cancel", "").await?;
    let id = job_id(id)?;
    let jobs = caller.admin.jobs.clone();
    let work = async move { Ok((jobs.cancel(id).await?, String::new())) };
    caller.act(&headers, "job.cancel", &format!("job {id}"), work).await.map(Json)
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
            JobError::KeyReused(_) => Self::invalid("/Idempotency-Key", error.to_string()),
            JobError::NotFound(_) => Self::NotFound(error.to_string()),
            JobError::Ended(..) => Self::Conflict(error.to_string(), Vec::new()),
            JobError::Stopping => Self::NotReady,
            JobError::Io(_) | JobError::Store(_) | JobError::Registry(_) | JobError::Join(_) => Self::internal(error),
        }
    }
}
