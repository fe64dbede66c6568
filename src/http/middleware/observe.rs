//! Observability for each request: one span, one log line, and the counters.
//!
//! The log and the metrics use the same measurement. Metric labels are the matched route pattern, never the path.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, debug, error_span, info};

use super::super::error::ProblemCode;
use super::super::request_id::{REQUEST_ID, identify};
use super::client::client;
use super::traceparent::trace_id;
use crate::metrics::Metrics;

/// Label for requests that match no route.
const NO_ROUTE: &str = "none";
/// Probes are called every few seconds, so they are logged at debug level, and their refusals are not counted as
/// errors.
pub(in crate::http) const PROBES: [&str; 4] = ["/livez", "/readyz", "/startupz", "/metrics"];

/// Largest number of characters of a path in logs and responses.
const PATH_CHARACTERS: usize = 200;

/// State of the observation layer.
#[derive(Clone)]
pub(in crate::http) struct Observer {
    pub(in crate::http) metrics: Arc<Metrics>,
    /// Number of trusted proxies in front of the server.
    pub(in crate::http) trusted_proxies: usize,
}

/// The beginning of a path, for logs and error messages.
pub(in crate::http) fn shown(path: &str) -> String {
    path.chars().take(PATH_CHARACTERS).collect()
}

/// Runs a request, records it, and adds its id to the response.
pub(in crate::http) async fn observe(State(observer): State<Observer>, mut request: Request, next: Next) -> Response {
    let Observer { metrics, trusted_proxies } = observer;
    let start = Instant::now();
    let id = identify(request.headers_mut());
    let (method, route) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let request_id = id.to_str().unwrap_or_default();
    // The span has the highest level, so that all log lines of a request carry its ids.
    let client = client(&request, trusted_proxies).map(tracing::field::display);
    let span = error_span!("request", request_id, trace_id = trace_id(request.headers()), %method, route, client);
    // The path is only logged if no route matched.
    let path = (route == NO_ROUTE).then(|| shown(request.uri().path()));
    let mut response = next.run(request).instrument(span.clone()).await;

    let (status, duration) = (response.status().as_u16(), start.elapsed());
    let problem = response.extensions().get::<ProblemCode>().map(|code| code.0);
    metrics.answered(method.as_str(), route, status, duration);
    let duration_us = duration.as_micros() as u64;
    let _entered = span.enter();
    if PROBES.contains(&route) {
        debug!(status, duration_us, problem, "answered");
    } else {
        problem.into_iter().for_each(|code| metrics.refused(code));
        info!(status, duration_us, problem, path, "answered");
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}
