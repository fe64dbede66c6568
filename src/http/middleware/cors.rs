//! CORS: which other origins (web pages, notebooks) may call the API from a browser.
//!
//! Only the configured origins are allowed, and never on admin routes, because pages may not send the `Authorization`
//! header.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// Allows every origin.
const ANY: &str = "*";
/// How long a browser may cache a preflight response.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Whether a text is an origin in the form that browsers send: `https://lab.example`, `http://localhost:8888`; `*` for
/// all, `null` for local files.
pub fn is_origin(text: &str) -> bool {
    let named =
        |uri: Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.path() == "/" && uri.query().is_none();
    [ANY, "null"].contains(&text) || !text.ends_with('/') && !text.contains('*') && text.parse().is_ok_and(named)
}

/// The CORS layer; `None` if no origin is configured.
pub(in crate::http) fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origin = match origins.iter().any(|origin| origin == ANY) {
        true => AllowOrigin::from(Any),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let names = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    let layer = CorsLayer::new().allow_origin(origin).allow_methods([Method::GET, Method::POST]).max_age(REMEMBERED);
    let sent = [header::ACCEPT, header::CONTENT_TYPE, header::CONTENT_ENCODING];
    let sent = sent.into_iter().chain(names(&["x-request-id", "traceparent"])).collect::<Vec<_>>();
    Some(layer.allow_headers(sent).expose_headers(names(&[
        "x-request-id",
        "mcvn-notes",
        "server-timing",
        "retry-after",
    ])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_told_from_other_texts() {
        for origin in ["*", "null", "https://lab.example", "http://localhost:8888", "http://[::1]:8888"] {
            assert!(is_origin(origin), "{origin}");
        }
        for text in
            ["", "lab.example", "https://lab.example/", "https://lab.example/page", "https://*", "ftp://x", "a b"]
        {
            assert!(!is_origin(text), "{text}");
        }
    }
}
