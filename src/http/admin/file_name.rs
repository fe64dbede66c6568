//! The file name of an uploaded form part from `filename*`.
//!
//! Some clients (.NET and others) send non-ASCII names as `filename*` (RFC 5987), which the multipart parser does not
//! support.

use axum::http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

/// The name in `filename*`, if there is one.
pub(super) fn extended_file_name(headers: &HeaderMap) -> Option<String> {
    let disposition = headers.get(header::CONTENT_DISPOSITION)?;
    // A plain `filename` may contain raw non-ASCII bytes; `filename*` never does.
    let disposition = String::from_utf8_lossy(disposition.as_bytes());
    let value = disposition.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("filename*").then(|| value.trim().trim_matches('"'))
    })?;
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, name) = (parts.next()?, parts.next()?, parts.next()?);
    let name = charset.eq_ignore_ascii_case("utf-8").then(|| percent_decode_str(name).decode_utf8_lossy().into_owned());
    name.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn names_beyond_ascii_are_read() {
        for (disposition, name) in [
            ("form-data; name=data; filename*=UTF-8''%E9%8B%BC.csv", Some("鋼.csv")),
            ("form-data; name=\"data\"; filename=\"=?utf-8?B?6Yu8?=\"; filename*=utf-8''%E9%8B%BC.csv", Some("鋼.csv")),
            ("form-data; name=data; FileName* = utf-8'de'a%20b.csv", Some("a b.csv")),
            ("form-data; name=data; filename=\"rows.csv\"", None),
            ("form-data; name=data; filename*=latin1''%E9.csv", None),
            ("form-data; name=data; filename*=nothing", None),
            ("form-data; name=data; filename*=utf-8''", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(disposition).unwrap());
            assert_eq!(extended_file_name(&headers).as_deref(), name, "{disposition}");
        }
        assert_eq!(extended_file_name(&HeaderMap::new()), None);
    }
}
