//! `GET /info` and `GET /metrics`: the state of the server, for people and for Prometheus.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::error::ApiError;
use super::super::predict::generic;
use super::super::state::AppState;
use super::models::{ModelSummary, summary};
use crate::metrics::{ModelDegraded, ModelInUse, Now, TextFormat};
use crate::registry::Catalogue;
use crate::tables::LONGEST_ROW_BYTES;

/// Information about the server.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Info {
    #[schema(example = "mcvn")]
    name: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// `starting`, `ready`, `failing` (forward passes on the device keep failing) or `draining` (shutting down).
    #[schema(example = "ready")]
    status: &'static str,
    uptime_seconds: f64,
    build: Build,
    /// Null while nothing is loaded.
    device: Option<DeviceInfo>,
    /// The active models; empty while nothing is loaded.
    models: Vec<ModelSummary>,
    limits: Limits,
}

/// How the program was built.
#[derive(Serialize, ToSchema)]
struct Build {
    /// `release` or `debug`.
    #[schema(example = "release")]
    profile: &'static str,
    /// Optional features of the build, such as `cuda`.
    features: Vec<&'static str>,
    #[schema(example = "x86_64-linux")]
    target: String,
}

/// The device that runs the models.
#[derive(Serialize, ToSchema)]
struct DeviceInfo {
    /// `cpu` or `cuda:N`.
    #[schema(example = "cpu")]
    name: String,
    /// How it was chosen, in words.
    #[schema(example = "asked for")]
    how: String,
}

/// Limits of requests and queues.
#[derive(Serialize, ToSchema)]
struct Limits {
    /// Largest number of samples in one JSON request; tables and NDJSON may have any length.
    max_samples: usize,
    json_body_bytes: usize,
    /// Largest total size of queued and running JSON requests and short tables, in bytes.
    waiting_bytes: usize,
    /// Largest number of tables and NDJSON streams that are processed at the same time.
    bulk_streams: usize,
    /// Longest row of a table, and longest NDJSON line, in bytes.
    row_bytes: usize,
    /// Longest time for one response.
    deadline_seconds: f64,
    /// Largest number of queued and running samples; null while nothing is loaded.
    queue_samples: Option<usize>,
    /// Largest number of samples in one forward pass; null while nothing is loaded.
    max_batch: Option<usize>,
}

/// Get information about the server: program, device, active models, limits.
#[utoipa::path(
    get, path = "/info", tag = "health",
    responses((status = 200, body = Info, description = "Information about the server"))
)]
pub(in crate::http) async fn info(State(state): State<AppState>) -> Json<Info> {
    let (live, http) = (state.live(), state.http());
    let serving = live.map(|live| live.current());
    let batcher = serving.as_ref().map(|serving| serving.batcher.config());
    Json(Info {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        status: match state.readiness() {
            Ok(()) => "ready",
            Err(_) if live.is_none() => "starting",
            Err(ApiError::DeviceFailing) => "failing",
            Err(_) => "draining",
        },
        uptime_seconds: state.uptime().as_secs_f64(),
        build: Build {
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
            features: if cfg!(feature = "cuda") { vec!["cuda"] } else { Vec::new() },
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        },
        device: live.map(|live| DeviceInfo { name: live.device().to_owned(), how: live.device_note().to_owned() }),
        models: serving.iter().flat_map(|serving| summaries(&serving.catalogue)).collect(),
        limits: Limits {
            max_samples: http.max_samples,
            json_body_bytes: http.json_body_bytes,
            waiting_bytes: http.waiting_bytes,
            bulk_streams: state.bulk().config().streams,
            row_bytes: LONGEST_ROW_BYTES,
            deadline_seconds: http.deadline_seconds,
            queue_samples: batcher.map(|batcher| batcher.queue_samples),
            max_batch: batcher.map(|batcher| batcher.max_batch),
        },
    })
}

fn summaries(catalogue: &Catalogue) -> Vec<ModelSummary> {
    catalogue.iter().map(|bundle| summary(catalogue, bundle)).collect()
}

/// Get the server's metrics for Prometheus: OpenMetrics if the client accepts it, otherwise the text format 0.0.4.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses((status = 200, description = "Counters, gauges and histograms",
        content((String = "application/openmetrics-text"), (String = "text/plain"))))
)]
pub(in crate::http) async fn metrics(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, ApiError> {
    let serving = state.live().map(|live| live.current());
    let manifests = serving.iter().flat_map(|serving| serving.catalogue.iter()).map(|bundle| bundle.manifest());
    let in_use = manifests.map(|manifest| ModelInUse {
        name: &manifest.name,
        version: &manifest.version,
        route: manifest.route.as_deref().unwrap_or(generic::ROUTE),
    });
    let troubles = serving.as_ref().map(|serving| serving.catalogue.troubles()).unwrap_or_default();
    let degraded = troubles.iter().map(|trouble| ModelDegraded {
        name: &trouble.model,
        version: &trouble.version,
        answers: trouble.answers.as_deref(),
    });
    let batcher = serving.as_ref().map(|serving| &serving.batcher);
    let admin_troubles = state.admin_troubles().await;
    let now = Now {
        ready: state.readiness().is_ok(),
        device: state.live().map(|live| live.device()),
        device_healthy: batcher.is_some_and(|batcher| batcher.health().is_healthy()),
        models: &in_use.collect::<Vec<_>>(),
        degraded: &degraded.collect::<Vec<_>>(),
        queue_samples: batcher.map_or(0, |batcher| batcher.queued_samples()),
        queue_limit_samples: batcher.map_or(0, |batcher| batcher.config().queue_samples),
        jobs: &state.count_jobs(),
        admin_working: admin_troubles.map(|troubles| troubles.is_empty()),
    };
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = TextFormat::accepted(accept);
    let text = state.metrics().render(&now, format).map_err(|error| ApiError::InferenceFailed(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response())
}
