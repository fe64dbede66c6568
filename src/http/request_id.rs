//! The id of a request: the client's if it is safe to repeat, otherwise a new one.
//!
//! Responses, log lines, problems and the audit log contain it, so only plain characters are accepted.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header with the request id, in requests and responses.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is accepted; longer ones are replaced.
const MOST_CHARACTERS: usize = 64;

/// Returns the id of a request and sets it in the request's header.
pub(super) fn identify(headers: &mut HeaderMap) -> HeaderValue {
    let harmless = |id: &&HeaderValue| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        !id.is_empty() && id.len() <= MOST_CHARACTERS && id.as_bytes().iter().all(plain)
    };
    let id = headers.get(REQUEST_ID).filter(harmless).cloned().unwrap_or_else(fresh_id);
    headers.insert(REQUEST_ID, id.clone());
    id
}

/// A new id: the start time of the process makes it unique between processes, a counter within the process.
pub(super) fn fresh_id() -> HeaderValue {
    static START: LazyLock<u64> = LazyLock::new(|| {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = format!("{:x}-{:x}", *START, COUNT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("none"))
}
