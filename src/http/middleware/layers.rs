//! What every request passes through: first it is observed, then other origins are told, then it is refused where its head says
//! enough, unpacked, answered, packed, and its errors and panics become problems; and the deadline of its routes.
//!
//! Its own so that their order is one list, read from the outside in. They are few: each of axum's costs every request a copy
//! of what lies below it.

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

/// Bodies that are packed, and bodies that are unpacked, at the same time.
const CODED_AT_ONCE: usize = 64;

/// Places for what packs and unpacks bodies, which has memory of its own.
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

/// Wraps the routes.
pub(in crate::http) fn wrap(router: Router<AppState>, state: &AppState) -> Router<AppState> {
    let observer = Observer { metrics: Arc::clone(state.metrics()), trusted_proxies: state.http().trusted_proxies };
    router.layer(
        ServiceBuilder::new()
            .layer(from_fn_with_state(observer, observe))
            .option_layer(cors(&state.http().cors_origins))
            .layer(from_fn_with_state(Arc::new(Places::default()), enter)),
    )
}

/// Gives every answer of these routes so long, and no longer. It is the innermost layer.
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

/// Answers a request, whatever happens meanwhile.
async fn enter(State(places): State<Arc<Places>>, request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).cloned();
    let response = match refused(&request) {
        Some(error) => error.into_response(),
        None => AssertUnwindSafe(coded(&places, request, next)).catch_unwind().await.unwrap_or_else(panicked),
    };
    render(id.as_ref(), response)
}

/// What the head of a request alone decides.
fn refused(request: &Request) -> Option<ApiError> {
    if is_crowded(request) {
        return Some(ApiError::Overloaded);
    }
    // A proxy and this server may take such a request for different ones.
    has_several_hosts(request.headers()).then_some(ApiError::MalformedHead)
}

fn has_several_hosts(headers: &HeaderMap) -> bool {
    headers.get_all(header::HOST).iter().nth(1).is_some()
}

/// Unpacks and packs bodies where the head of the request asks for it.
async fn coded(places: &Places, request: Request, next: Next) -> Response {
    let asked = asks_for_packed(&request);
    // Most requests have no use for these futures, which are large.
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
