//! Decompression of request bodies.
//!
//! It is outside all code that reads bodies, so every limit counts decompressed bytes. The `Content-Length` header is
//! removed, because it is the compressed length. Each decompressor needs memory, so the number of simultaneous ones is
//! limited.

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

/// The codings listed in the response to an unsupported one.
const CODINGS: HeaderValue = HeaderValue::from_static("gzip, deflate, zstd");
/// Largest window of a zstd frame, as a power of two of bytes: 8 MiB, as in RFC 9659.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Buffer size for decompressed data, in bytes.
const PIECE_BYTES: usize = 16 << 10;

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Zstd,
}

/// Runs a request with its body decompressed.
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
            // Keeps the permit as long as the body exists.
            let _ = &place;
            // An error that does not come from the connection comes from the decompression.
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

/// The coding of a body; `None` if it is not compressed.
///
/// # Errors
/// The unsupported coding, or the list of several codings, as given.
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
        // Several compressed files in a row are read as one file.
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
