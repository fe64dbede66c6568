//! Answers that are compressed where the client asks for it.
//!
//! Its own because it must cost nothing to those who do not ask, and stay within bounds for those who do: what packs has
//! memory of its own (some 300 kB), so only so many answers are packed at a time, and others go as they are.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{Version, header};
use axum::response::Response;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tower::{ServiceExt, service_fn};
use tower_http::CompressionLevel;
use tower_http::compression::Compression;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use super::super::body::media::WORKBOOK;
use super::super::connection::unread::Holds;

/// Shorter answers fit into one packet as they are.
const LEAST_BYTES: u64 = 1024;

/// What a request says of packed answers, as a request of its own; `None` where it asks for none.
pub(in crate::http) fn asks_for_packed(request: &Request) -> Option<Request> {
    // To HTTP/1.0 a body without a length ends with the connection: let it have its length.
    if !request.headers().contains_key(header::ACCEPT_ENCODING) || request.version() < Version::HTTP_11 {
        return None;
    }
    let mut asked = Request::new(Body::empty());
    for value in request.headers().get_all(header::ACCEPT_ENCODING) {
        asked.headers_mut().append(header::ACCEPT_ENCODING, value.clone());
    }
    Some(asked)
}

/// Packs an answer as was asked for. A stream stays one: what is there is sent while more is waited for.
pub(in crate::http) async fn pack(places: &Arc<Semaphore>, asked: Request, response: Response) -> Response {
    if !is_worth_it().should_compress(&response) {
        return response;
    }
    let Ok(place) = Arc::clone(places).try_acquire_owned() else { return response };
    let held = response.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let (status, mut answer) = (response.status(), Some(response));
    let answering = service_fn(move |_: Request| ready(Ok::<_, Infallible>(answer.take().unwrap_or_default())));
    let packing = Compression::new(answering).quality(CompressionLevel::Fastest).compress_when(is_worth_it());
    let Ok(mut packed) = packing.oneshot(asked).await;
    // Whoever takes neither this nor anything else gets the answer all the same.
    *packed.status_mut() = status;
    if let Some(held) = held {
        packed.extensions_mut().insert(Holds(held));
    }
    packed.map(|body| {
        Body::new(body.map_err(move |error| {
            // The place is kept as long as the body.
            let _ = &place;
            error
        }))
    })
}

/// Long answers that are not packed already, and no events, which must not wait for each other.
fn is_worth_it() -> impl Predicate {
    SizeAbove::new(LEAST_BYTES)
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new(WORKBOOK))
}
