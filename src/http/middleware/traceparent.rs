//! W3C trace context: reads the trace id of a request from its `traceparent` header.
//!
//! An invalid header is ignored, because the id goes into every log line of the request. Versions after 00 have the
//! same first four fields, and more may follow.

use axum::http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id of the trace, 32 lower-case hexadecimal digits; `None` without exactly one valid header.
pub(in crate::http) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let only = given.next().filter(|_| given.next().is_none())?;
    let mut fields = only.to_str().ok()?.split('-');
    let (version, trace, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let nonzero = |id: &str| id.bytes().any(|digit| digit != b'0');
    let valid = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && nonzero(trace)
        && is_hex(parent, 16)
        && nonzero(parent)
        && is_hex(flags, 2)
        && (version != "00" || fields.next().is_none());
    valid.then_some(trace)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn read(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        trace_id(&headers).map(str::to_owned)
    }

    #[test]
    fn a_valid_header_names_its_trace() {
        for flags in ["00", "01", "ff"] {
            assert_eq!(read(&[&format!("00-{TRACE}-00f067aa0ba902b7-{flags}")]).as_deref(), Some(TRACE));
        }
    }

    #[test]
    fn later_versions_have_the_same_first_fields() {
        for version in ["01", "cc", "fe"] {
            for more in ["", "-what-the-future-brings"] {
                let header = format!("{version}-{TRACE}-00f067aa0ba902b7-01{more}");
                assert_eq!(read(&[&header]).as_deref(), Some(TRACE), "{header}");
            }
        }
    }

    #[test]
    fn anything_else_is_none() {
        let good = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let bad = [
            String::new(),
            "00".to_owned(),
            good.replacen("00", "0g", 1),
            good.replacen("00", "000", 1),
            good.replacen("00", "ff", 1),
            good.to_uppercase(),
            format!("{good}-more"),
            format!(" {good}x"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-00f067aa0ba902b7-0"),
            format!("00-{TRACE}-00f067aa0ba902b7"),
            format!("00-{}-00f067aa0ba902b7-01", &TRACE[1..]),
            format!("00-{}g-00f067aa0ba902b7-01", &TRACE[1..]),
        ];
        for bad in bad {
            assert_eq!(read(&[&bad]), None, "{bad}");
        }
        assert_eq!(read(&[&good, &good]), None, "two headers contradict each other");
        assert_eq!(read(&[]), None);
    }
}
