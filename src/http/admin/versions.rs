//! `/admin/models/{name}/versions`: lists and shows versions, promotes one, and rolls back.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::super::body::extract::typed_json;
use super::super::error::{ApiError, Problem};
use super::super::state::AppState;
use super::act::{Asked, Done};
use super::documented::{ActionProblems, AdminProblems, IdempotencyKey};
use super::keys::Caller;
use super::notes::blocking;
use crate::keys::Scope;
use crate::model::Manifest;
use crate::registry::{RegistryError, Version, VersionState};
use crate::serving::{Swap, SwapError, objections};

/// Largest body of a promotion or rollback, in bytes.
const MOST_BYTES: usize = 16_000;

/// One version of a model.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionSummary {
    version: String,
    /// `active`, `previous` (can be reactivated by a rollback) or `candidate`.
    #[schema(value_type = String, example = "candidate")]
    state: VersionState,
    /// When it was trained, if known.
    created: Option<String>,
    /// Number of training rows.
    rows: usize,
    /// Number of groups among the training rows.
    groups: usize,
    /// SHA-256 of the training data.
    data_sha256: String,
    /// Scores by protocol, target or class, and metric.
    #[schema(value_type = Vec<Object>)]
    evaluation: Vec<crate::model::Evaluation>,
}

/// The versions of one model.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionList {
    name: String,
    versions: Vec<VersionSummary>,
    /// Versions whose manifest cannot be read; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<DamagedVersion>,
}

/// A version whose manifest cannot be read.
#[derive(Serialize, ToSchema)]
struct DamagedVersion {
    version: String,
    #[schema(value_type = String, example = "previous")]
    state: VersionState,
    /// The reason.
    reason: String,
}

/// One version with all details.
#[derive(Serialize, ToSchema)]
pub(super) struct VersionDetail {
    #[serde(flatten)]
    summary: VersionSummary,
    /// Objections to a promotion; `force` overrides them.
    objections: Vec<String>,
    /// Links to its plots, relative to the URL of this version.
    plots: Vec<String>,
    /// Its report, if a job trained it: cross-validation scores compared with the active version, a ridge regression
    /// and a random forest, and warnings.
    #[schema(value_type = Option<Object>)]
    report: Option<serde_json::Value>,
}

/// The options of a promotion.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PromoteBody {
    /// Lines of doubted training rows that are right all the same, as `GET /admin/jobs/{id}/data` names them.
    #[schema(example = json!([17, 240]))]
    confirm: Vec<u64>,
    /// Promote in spite of objections.
    force: bool,
    /// The reason; required with `force`.
    #[schema(example = "approved by the steel group")]
    reason: Option<String>,
}

/// The two forms of a promotion's body for the OpenAPI document: without force, or with force and a reason.
pub(super) struct PromoteRequest;

impl PartialSchema for PromoteRequest {
    fn schema() -> RefOr<Schema> {
        let form = |force: bool| {
            let RefOr::T(Schema::Object(mut form)) = PromoteBody::schema() else { return PromoteBody::schema() };
            let forced = ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([force]));
            form.properties.insert("force".to_owned(), forced.into());
            if force {
                let reason = ObjectBuilder::new().schema_type(Type::String).pattern(Some("[!-~]"));
                form.properties.insert("reason".to_owned(), reason.description(Some("Why")).into());
                form.required.extend(["force", "reason"].map(str::to_owned));
            }
            RefOr::from(Schema::from(form))
        };
        OneOfBuilder::new().item(form(false)).item(form(true)).into()
    }
}

impl ToSchema for PromoteRequest {}

/// The options of a rollback.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RollbackBody {
    /// The reason, for the audit log.
    reason: Option<String>,
}

/// The active version after a promotion or rollback.
#[derive(Serialize, ToSchema)]
pub(super) struct Swapped {
    name: String,
    /// The version that is active now.
    version: String,
    /// The version that was served before.
    before: Option<String>,
    /// The objections that were overridden.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overruled: Vec<String>,
}

/// List the versions of a model. Scope `read`.
#[utoipa::path(
    get, path = "/admin/models/{name}/versions", tag = "admin", security(("admin_key" = [])),
    params(("name" = String, Path, description = "Name of the model", example = "steel-fatigue")),
    responses((status = 200, body = VersionList, description = "The versions of the model"), AdminProblems)
)]
pub(super) async fn list_versions(
    State(state): State<AppState>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<VersionList>, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "version.read", "").await?;
    let Path(name) = name.map_err(|_| no_such_version())?;
    blocking(move || {
        let library = caller.admin.writer.library();
        let versions = library.versions(&name).map_err(ApiError::internal)?;
        if versions.is_empty() && !library.has(&name).map_err(ApiError::internal)? {
            return Err(ApiError::NotFound("no such model; see /models".to_owned()));
        }
        let mut list = VersionList { name, versions: Vec::new(), damaged: Vec::new() };
        for version in versions {
            match version.manifest() {
                Ok(manifest) => list.versions.push(summary(version, manifest)),
                Err(error) => {
                    let (version, state) = (version.name, version.state);
                    list.damaged.push(DamagedVersion { version, state, reason: error.reason() });
                }
            }
        }
        Ok(Json(list))
    })
    .await
}

/// Get one version with its report. Scope `read`.
#[utoipa::path(
    get, path = "/admin/models/{name}/versions/{version}", tag = "admin", security(("admin_key" = [])),
    params(
        ("name" = String, Path, description = "Name of the model", example = "steel-fatigue"),
        ("version" = String, Path, description = "The version"),
    ),
    responses(
        (status = 200, body = VersionDetail, description = "The version"),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "conflict: the version's files are damaged"),
        AdminProblems,
    )
)]
pub(super) async fn show_version(
    State(state): State<AppState>,
    headers: HeaderMap,
    place: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<VersionDetail>, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "version.read", "").await?;
    let Path((name, wanted)) = place.map_err(|_| no_such_version())?;
    let in_use = state.live().and_then(|live| live.current().catalogue.get(&name).cloned());
    blocking(move || {
        let version = caller.admin.writer.library().version(&name, &wanted).map_err(ApiError::internal)?;
        let version = version.ok_or_else(no_such_version)?;
        let damaged = |error: RegistryError| {
            ApiError::Conflict(format!("the version is damaged: {}", error.reason()), Vec::new())
        };
        let manifest = version.manifest().map_err(damaged)?;
        let report = version.report().map_err(damaged)?;
        let objections = match version.state {
            VersionState::Active => Vec::new(),
            _ => {
                let in_use = in_use.as_ref().map(|bundle| bundle.manifest());
                objections(in_use, &manifest, report.as_deref(), &[]).map_err(SwapError::from)?
            }
        };
        let link = |plot: String| format!("{wanted}/plots/{plot}");
        Ok(Json(VersionDetail {
            plots: version.plots().into_iter().map(link).collect(),
            summary: summary(version, manifest),
            objections,
            report: report.and_then(|text| serde_json::from_str(&text).ok()),
        }))
    })
    .await
}

/// Get one plot of a version's report. Scope `read`.
#[utoipa::path(
    get, path = "/admin/models/{name}/versions/{version}/plots/{plot}", tag = "admin", security(("admin_key" = [])),
    params(
        ("name" = String, Path, description = "Name of the model", example = "steel-fatigue"),
        ("version" = String, Path, description = "The version"),
        ("plot" = String, Path, description = "Name of the plot, as in the links of the version", example = "loss.svg"),
    ),
    responses((status = 200, body = String, content_type = "image/svg+xml", description = "The plot"), AdminProblems)
)]
pub(super) async fn show_plot(
    State(state): State<AppState>,
    headers: HeaderMap,
    place: Result<Path<(String, String, String)>, PathRejection>,
) -> Result<Response, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Read, "version.read", "").await?;
    let Path((name, version, plot)) = place.map_err(|_| no_such_version())?;
    blocking(move || {
        let version = caller.admin.writer.library().version(&name, &version).map_err(ApiError::internal)?;
        let text = version.ok_or_else(no_such_version)?.plot(&plot).map_err(ApiError::internal)?;
        let text = text.ok_or_else(|| ApiError::NotFound("the version has no such plot".to_owned()))?;
        Ok(([(header::CONTENT_TYPE, "image/svg+xml")], text).into_response())
    })
    .await
}

/// Promote a version: make it the active one. Scope `promote`.
///
/// The version's hashes and schema are checked and real forward passes are run first. Then it is swapped in between two
/// batches, so every request is answered by one version only. The promotion is refused if the version is worse than the
/// active one on the same rows, if it cannot be compared, if its inputs or outputs differ, or if it learned from rows
/// that look wrong and that nobody confirmed. `confirm` says which of these rows are right all the same. Override the
/// refusal with `force` and a `reason`.
#[utoipa::path(
    post, path = "/admin/models/{name}/versions/{version}/promote", tag = "admin", security(("admin_key" = [])),
    params(
        ("name" = String, Path, description = "Name of the model", example = "steel-fatigue"),
        ("version" = String, Path, description = "The version"),
        IdempotencyKey,
    ),
    request_body(content = Option<PromoteRequest>),
    responses(
        (status = 200, body = Swapped, description = "The version that is active now"),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "conflict: objections (listed in errors), or it is already active, or cannot be served"),
        ActionProblems,
    )
)]
pub(super) async fn promote(
    State(state): State<AppState>,
    headers: HeaderMap,
    place: Result<Path<(String, String)>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Promote, "version.promote", "").await?;
    let Path((name, version)) = place.map_err(|_| no_such_version())?;
    let PromoteBody { confirm, force, reason } = optional(&state, &headers, body).await?;
    let reason = reason.unwrap_or_default();
    if force && reason.trim().is_empty() {
        return Err(ApiError::invalid("/reason", "say why, with force"));
    }
    let target = format!("{name} {version}");
    let admin = Arc::clone(&caller.admin);
    let with = match confirm.is_empty() {
        true => json!({ "force": force, "reason": reason }),
        false => json!({ "force": force, "reason": reason, "confirm": confirm }),
    };
    let asked = Asked { action: "version.promote", target: &target, with };
    let work = async move {
        let confirmed = in_words(&confirm);
        let swap = state.loaded()?.promote(&admin.writer, (&name, &version), confirm, force).await?;
        let before = swap.before.clone().unwrap_or_else(|| "none".to_owned());
        let overruled = if swap.overruled.is_empty() { "nothing".to_owned() } else { swap.overruled.join("; ") };
        let detail = format!("before: {before}; overruled: {overruled}; reason: {reason}{confirmed}");
        Done::new(StatusCode::OK, &swapped(name, swap), detail)
    };
    caller.act(&headers, asked, work).await
}

/// Reactivate the previous version. Scope `promote`.
///
/// Two requests go back two versions, unless both have the same `Idempotency-Key`.
#[utoipa::path(
    post, path = "/admin/models/{name}/rollback", tag = "admin", security(("admin_key" = [])),
    params(("name" = String, Path, description = "Name of the model", example = "steel-fatigue"), IdempotencyKey),
    request_body(content = Option<RollbackBody>),
    responses((status = 200, body = Swapped, description = "The version that is active now"), ActionProblems)
)]
pub(super) async fn roll_back(
    State(state): State<AppState>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Promote, "version.rollback", "").await?;
    let Path(name) = name.map_err(|_| no_such_version())?;
    let RollbackBody { reason } = optional(&state, &headers, body).await?;
    let (admin, model) = (Arc::clone(&caller.admin), name.clone());
    let asked = Asked { action: "version.rollback", target: &name, with: json!({ "reason": reason }) };
    let work = async move {
        let swap = state.loaded()?.roll_back(&admin.writer, &model).await?;
        let before = swap.before.clone().unwrap_or_default();
        let detail = format!("now: {}; before: {before}; reason: {}", swap.version, reason.unwrap_or_default());
        Done::new(StatusCode::OK, &swapped(model, swap), detail)
    };
    caller.act(&headers, asked, work).await
}

/// Parses an optional JSON body.
async fn optional<T>(state: &AppState, headers: &HeaderMap, body: Body) -> Result<T, ApiError>
where
    T: Default + for<'de> Deserialize<'de>,
{
    let read = state.admin_admission().read(headers, body, MOST_BYTES).await?;
    if read.bytes.is_empty() {
        return Ok(T::default());
    }
    Ok(typed_json::<Option<T>>(&read.bytes, "")?.unwrap_or_default())
}

fn summary(version: Version, manifest: Manifest) -> VersionSummary {
    VersionSummary {
        version: version.name,
        state: version.state,
        created: manifest.created,
        rows: manifest.data.rows,
        groups: manifest.data.groups,
        data_sha256: manifest.data.sha256,
        evaluation: manifest.evaluation,
    }
}

/// The confirmed lines, for the audit log.
fn in_words(confirmed: &[u64]) -> String {
    let lines: Vec<String> = confirmed.iter().map(u64::to_string).collect();
    if lines.is_empty() { String::new() } else { format!("; confirmed lines: {}", lines.join(", ")) }
}

fn swapped(name: String, swap: Swap) -> Swapped {
    let Swap { version, before, overruled } = swap;
    Swapped { name, version, before, overruled }
}

pub(super) fn no_such_version() -> ApiError {
    ApiError::NotFound("no such version; see /admin/models/{name}/versions".to_owned())
}

impl From<SwapError> for ApiError {
    fn from(error: SwapError) -> Self {
        match error {
            SwapError::Missing(detail) => Self::NotFound(detail),
            SwapError::InUse(_) | SwapError::Answers(_) | SwapError::Unfit(_) => {
                Self::Conflict(error.to_string(), Vec::new())
            }
            SwapError::Confirm(error) => Self::invalid("/confirm", error.to_string()),
            SwapError::Objections(objections) => {
                Self::Conflict("refused; force with a reason overrules".to_owned(), objections)
            }
            SwapError::Registry(error @ (RegistryError::InUse(_) | RegistryError::ReadOnly(_))) => {
                Self::Conflict(error.to_string(), Vec::new())
            }
            SwapError::Registry(RegistryError::Missing(_) | RegistryError::Name(_)) => no_such_version(),
            SwapError::Jobs(error) => error.into(),
            SwapError::Registry(_) | SwapError::Join(_) => Self::internal(error),
        }
    }
}
