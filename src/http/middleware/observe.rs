//! What operators learn of every request: one span, one line of the log, and the counters.
//!
//! Its own so that the log and the metrics say the same of a request, measured once. Labels are the matched
//! pattern, never the path.

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

/// Stands for the route of a request that has none.
const NO_ROUTE: &str = "none";
/// Asked every few seconds by machines: their lines would drown all others, and their refusals are answers.
pub(in crate::http) const PROBES: [&str; 4] = ["/livez", "/readyz", "/startupz", "/metrics"];

/// Characters of a path that are repeated, in the log and in answers.
const PATH_CHARACTERS: usize = 200;

/// What is needed to observe.
#[derive(Clone)]
pub(in crate::http) struct Observer {
    pub(in crate::http) metrics: Arc<Metrics>,
    /// Proxies before the server whose word on who asks is believed.
    pub(in crate::http) trusted_proxies: usize,
}

/// The beginning of a path, for whoever looks for it.
pub(in crate::http) fn shown(path: &str) -> String {
    path.chars().take(PATH_CHARACTERS).collect()
}

/// Answers a request under observation; the answer carries its id.
pub(in crate::http) async fn observe(State(observer): State<Observer>, mut request: Request, next: Next) -> Response {
    let Observer { metrics, trusted_proxies } = observer;
    let start = Instant::now();
    let id = identify(request.headers_mut());
    let (method, route) = (request.method().clone(), request.extensions().get::<MatchedPath>().cloned());
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let request_id = id.to_str().unwrap_or_default();
    // Of the highest level, so that whatever is logged of a request carries its ids.
    let client = client(&request, trusted_proxies).map(tracing::field::display);
    let span = error_span!("request", request_id, trace_id = trace_id(request.headers()), %method, route, client);
    // Where a route matched it says where the request went.
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
