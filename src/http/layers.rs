//! What every request passes through: id, log line and metrics, other origins, error bodies, panics, packed bodies; and the deadline of its
//! routes.
//!
//! Its own so that their order is one list, read from the outside in.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use super::cors::cors;
use super::crowd::refuse;
use super::error::{ApiError, REQUEST_ID, render};
use super::observe::{Observer, observe};
use super::pack::{PACKED_AT_ONCE, pack};
use super::state::State;
use super::unpack::{UNPACKED_AT_ONCE, unpack};

/// Wraps the routes.
pub(super) fn wrap(router: Router<State>, state: &State) -> Router<State> {
    let observer = Observer { metrics: Arc::clone(state.metrics()), trusted_proxies: state.http().trusted_proxies };
    router.layer(
        ServiceBuilder::new()
            .layer(from_fn(request_id))
            .layer(from_fn_with_state(observer, observe))
            .option_layer(cors(&state.http().cors_origins))
            .layer(from_fn(render))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn(refuse))
            .layer(from_fn(one_host))
            .layer(from_fn_with_state(Arc::new(Semaphore::new(PACKED_AT_ONCE)), pack))
            .layer(from_fn_with_state(Arc::new(Semaphore::new(UNPACKED_AT_ONCE)), unpack)),
    )
}

/// Gives every answer of these routes so long, and no longer. It is the innermost layer.
pub(super) fn within(router: Router<State>, limit: Duration) -> Router<State> {
    router.route_layer(from_fn_with_state(limit, deadline))
}

/// Keeps the client's id where it is harmless, else gives one; answers carry it.
async fn request_id(mut request: Request, next: Next) -> Response {
    let harmless = |id: &&HeaderValue| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        !id.is_empty() && id.len() <= 64 && id.as_bytes().iter().all(plain)
    };
    let id = request.headers().get(REQUEST_ID).filter(harmless).cloned().unwrap_or_else(fresh_id);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Refuses requests that a proxy and this server may take for different ones.
async fn one_host(request: Request, next: Next) -> Response {
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        return ApiError::MalformedHead.into_response();
    }
    next.run(request).await
}

/// Unique within a process by its counter, between processes by their start time.
pub(super) fn fresh_id() -> HeaderValue {
    static START: LazyLock<u64> = LazyLock::new(|| {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = format!("{:x}-{:x}", *START, COUNT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("none"))
}

fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default();
    ApiError::InferenceFailed(format!("panic in a handler: {text}")).into_response()
}

async fn deadline(
    axum::extract::State(limit): axum::extract::State<Duration>,
    request: Request,
    next: Next,
) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::DeadlineExceeded(limit).into_response(),
    }
}
