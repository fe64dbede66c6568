//! Pages and notebooks of other origins that may ask from a browser.
//!
//! Its own because it opens a door that browsers keep shut: only to origins that are named, and to no admin route, whose
//! key stands in a header that pages may not send.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// Any page, of whatever origin.
const ANY: &str = "*";
/// So long a browser need not ask again whether it may ask.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Whether a text names an origin as browsers do: `https://lab.example`, `http://localhost:8888`; `*` for all, `null` for
/// files.
pub fn is_origin(text: &str) -> bool {
    let named =
        |uri: Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.path() == "/" && uri.query().is_none();
    [ANY, "null"].contains(&text) || !text.ends_with('/') && !text.contains('*') && text.parse().is_ok_and(named)
}

/// What tells browsers so; nothing where no origin is named.
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
