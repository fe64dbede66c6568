//! Bodies of requests that come compressed: whoever reads them gets the bytes they were before.
//!
//! Its own because it lies around all that reads bodies, so every limit is one of unpacked bytes; what was announced is the
//! packed length and is taken off. What unpacks has memory of its own, so only so many bodies are unpacked at a time.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use tokio::io::{AsyncBufRead, AsyncRead};
use tokio::sync::Semaphore;
use tokio_util::io::{ReaderStream, StreamReader};

use super::super::error::ApiError;

/// What a refusal of other codings names.
const CODINGS: HeaderValue = HeaderValue::from_static("gzip, deflate, zstd");
/// A zstd frame may ask its reader to keep this power of two of bytes: as RFC 9659 has it, 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Bytes that are unpacked at a time.
const PIECE_BYTES: usize = 16 << 10;

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Zstd,
}

/// Answers a request whose body has codings, which are taken off.
pub(in crate::http) async fn unpack(places: &Arc<Semaphore>, mut request: Request, next: Next) -> Response {
    let coding = match coding(request.headers()) {
        Ok(coding) => coding,
        Err(said) => return unknown(&said),
    };
    request.headers_mut().remove(header::CONTENT_ENCODING);
    let Some(coding) = coding else { return next.run(request).await };
    let Ok(place) = Arc::clone(places).try_acquire_owned() else { return ApiError::Overloaded.into_response() };
    request.headers_mut().remove(header::CONTENT_LENGTH);
    let broken = Arc::new(OnceLock::new());
    let noted = Arc::clone(&broken);
    let request = request.map(|body| {
        let packed = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
        let unpacked = ReaderStream::with_capacity(coding.unpacked(packed), PIECE_BYTES);
        Body::from_stream(unpacked.map_err(move |error| {
            // The place is kept as long as the body.
            let _ = &place;
            // What is no error of the connection is one of the packing.
            if !error.get_ref().is_some_and(|cause| cause.is::<axum::Error>()) {
                let _ = noted.set(error.to_string());
            }
            error
        }))
    });
    let response = next.run(request).await;
    match (broken.get(), response.extensions().get()) {
        (Some(cause), Some(ApiError::MalformedBody(_))) => {
            let name = coding.name();
            let detail =
                format!("the body cannot be unpacked as {name}, which its content-encoding says it is: {cause}");
            ApiError::MalformedBody(detail).into_response()
        }
        _ => response,
    }
}

/// The one coding of a body; `None` for one that is as it is.
///
/// # Errors
/// Another one, or several, as they were given.
fn coding(headers: &HeaderMap) -> Result<Option<Coding>, String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let said: Vec<String> =
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()).collect();
    let names = said.iter().flat_map(|text| text.split(',')).map(str::trim);
    let names: Vec<&str> = names.filter(|name| !matches!(*name, "" | "identity")).collect();
    match names[..] {
        [] => Ok(None),
        ["gzip" | "x-gzip"] => Ok(Some(Coding::Gzip)),
        ["deflate"] => Ok(Some(Coding::Deflate)),
        ["zstd"] => Ok(Some(Coding::Zstd)),
        _ => Err(names.join(", ").chars().take(60).collect()),
    }
}

fn unknown(said: &str) -> Response {
    let detail =
        format!("content-encoding \"{said}\" is not understood: send gzip, deflate, zstd, or the body as it is");
    let mut response = ApiError::UnsupportedMediaType(detail).into_response();
    response.headers_mut().insert(header::ACCEPT_ENCODING, CODINGS);
    response
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate (zlib)",
            Self::Zstd => "zstd",
        }
    }

    fn unpacked(self, packed: impl AsyncBufRead + Send + 'static) -> Pin<Box<dyn AsyncRead + Send>> {
        // Several files that were packed one by one and put together are one file.
        match self {
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(packed);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            Self::Deflate => Box::pin(ZlibDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = ZstdDecoder::with_params(packed, &[DParameter::window_log_max(ZSTD_WINDOW_LOG)]);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
        }
    }
}
