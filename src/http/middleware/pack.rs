//! Compression of responses for clients that ask for it.
//!
//! Other requests must have no extra cost. Each compressor needs about 300 kB, so the number of simultaneous ones is
//! limited; beyond it, responses are sent uncompressed.

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

/// Shorter responses fit into one packet without compression.
const LEAST_BYTES: u64 = 1024;

/// A request with only the `Accept-Encoding` headers of the given one; `None` if it asks for no compression.
pub(in crate::http) fn asks_for_packed(request: &Request) -> Option<Request> {
    // In HTTP/1.0 a body without a length ends with the connection, so it keeps its length and is not compressed.
    if !request.headers().contains_key(header::ACCEPT_ENCODING) || request.version() < Version::HTTP_11 {
        return None;
    }
    let mut asked = Request::new(Body::empty());
    for value in request.headers().get_all(header::ACCEPT_ENCODING) {
        asked.headers_mut().append(header::ACCEPT_ENCODING, value.clone());
    }
    Some(asked)
}

/// Compresses a response as requested. A stream stays a stream: available data is sent without waiting for more.
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
    // A client that accepts no supported coding still gets the response with its status.
    *packed.status_mut() = status;
    if let Some(held) = held {
        packed.extensions_mut().insert(Holds(held));
    }
    packed.map(|body| {
        Body::new(body.map_err(move |error| {
            // Keeps the permit as long as the body exists.
            let _ = &place;
            error
        }))
    })
}

/// Compresses only long responses, no formats that are compressed already, and no server-sent events, which must not be
/// delayed.
fn is_worth_it() -> impl Predicate {
    SizeAbove::new(LEAST_BYTES)
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new(WORKBOOK))
}
