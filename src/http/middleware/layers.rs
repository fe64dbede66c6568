//! The layers around every route, from the outside in: observation, CORS, checks of the head, decompression, the
//! handler, compression, and errors and panics as problem details. The deadline of a route is the innermost layer.
//!
//! The number of layers is kept small, because each axum layer makes every request clone the layers below it.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tower::ServiceBuilder;

use super::super::error::{ApiError, render};
use super::super::request_id::REQUEST_ID;
use super::super::state::AppState;
use super::cors::cors;
use super::crowd::is_crowded;
use super::observe::{Observer, observe};
use super::pack::{asks_for_packed, pack};
use super::unpack::unpack;

/// Largest number of bodies that are compressed at the same time, and likewise of bodies that are decompressed.
const CODED_AT_ONCE: usize = 64;

/// Limits how many bodies are compressed and decompressed at the same time, because each needs its own memory.
struct Places {
    packed: Arc<Semaphore>,
    unpacked: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let places = || Arc::new(Semaphore::new(CODED_AT_ONCE));
        Self { packed: places(), unpacked: places() }
    }
}

/// Adds the layers to the routes.
pub(in crate::http) fn wrap(router: Router<AppState>, state: &AppState) -> Router<AppState> {
    let observer = Observer { metrics: Arc::clone(state.metrics()), trusted_proxies: state.http().trusted_proxies };
    router.layer(
        ServiceBuilder::new()
            .layer(from_fn_with_state(observer, observe))
            .option_layer(cors(&state.http().cors_origins))
            .layer(from_fn_with_state(Arc::new(Places::default()), enter)),
    )
}

/// Adds a deadline to these routes; it is the innermost layer.
pub(in crate::http) fn within(router: Router<AppState>, limit: Duration) -> Router<AppState> {
    router.route_layer(ServiceBuilder::new().map_future(move |answer| within_limit(limit, answer)))
}

async fn within_limit(
    limit: Duration,
    answer: impl Future<Output = Result<Response, Infallible>>,
) -> Result<Response, Infallible> {
    match tokio::time::timeout(limit, answer).await {
        Ok(response) => response,
        Err(_) => Ok(ApiError::DeadlineExceeded(limit).into_response()),
    }
}

/// Answers a request, even if the handler panics.
async fn enter(State(places): State<Arc<Places>>, request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).cloned();
    let response = match refused(&request) {
        Some(error) => error.into_response(),
        None => AssertUnwindSafe(coded(&places, request, next)).catch_unwind().await.unwrap_or_else(panicked),
    };
    render(id.as_ref(), response)
}

/// The error for a request that is refused because of its head alone.
fn refused(request: &Request) -> Option<ApiError> {
    if is_crowded(request) {
        return Some(ApiError::Overloaded);
    }
    // A proxy and this server could read such a request differently.
    has_several_hosts(request.headers()).then_some(ApiError::MalformedHead)
}

fn has_several_hosts(headers: &HeaderMap) -> bool {
    headers.get_all(header::HOST).iter().nth(1).is_some()
}

/// Decompresses and compresses bodies if the request's head asks for it.
async fn coded(places: &Places, request: Request, next: Next) -> Response {
    let asked = asks_for_packed(&request);
    // Boxed because these futures are large and most requests do not need them.
    let response = match request.headers().contains_key(header::CONTENT_ENCODING) {
        true => Box::pin(unpack(&places.unpacked, request, next)).await,
        false => next.run(request).await,
    };
    match asked {
        Some(asked) => Box::pin(pack(&places.packed, asked, response)).await,
        None => response,
    }
}

fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_default();
    ApiError::InferenceFailed(format!("panic in a handler: {text}")).into_response()
}
