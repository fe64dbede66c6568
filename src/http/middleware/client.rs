//! The client's address: from trusted proxies if there are any, otherwise the peer of the connection.
//!
//! Anyone can write the `X-Forwarded-For` header, so only the entries that trusted proxies have added are used.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName};

use super::super::connection::activity::Activity;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address behind `trusted_proxies` proxies. If the header does not contain it, the peer's address.
pub(in crate::http) fn client(request: &Request, trusted_proxies: usize) -> Option<IpAddr> {
    let peer = || request.extensions().get::<Arc<Activity>>().and_then(|connection| connection.peer());
    forwarded_for(request.headers(), trusted_proxies).or_else(peer)
}

/// Each proxy appends the address it was called from. With two proxies, the first one added the last entry but one.
fn forwarded_for(headers: &HeaderMap, trusted_proxies: usize) -> Option<IpAddr> {
    let place = trusted_proxies.checked_sub(1)?;
    let texts: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or("")).collect();
    let address = texts.iter().flat_map(|text| text.split(',')).rev().nth(place)?.trim();
    let with_port = || address.parse::<SocketAddr>().map(|address| address.ip());
    address.parse().or_else(|_| with_port()).ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::connection::activity::Times;
    use super::*;
    use axum::body::Body;

    fn asked(trusted_proxies: usize, forwarded: &[&str]) -> String {
        let mut request = Request::new(Body::empty());
        let times = Times { header: Duration::ZERO, keep_alive: Duration::ZERO };
        request.extensions_mut().insert(Activity::new(times, Some(IpAddr::from([10, 0, 0, 9]))));
        for value in forwarded {
            request.headers_mut().append(FORWARDED_FOR, value.parse().unwrap());
        }
        client(&request, trusted_proxies).unwrap().to_string()
    }

    #[test]
    fn the_header_is_believed_as_far_as_trusted_proxies_wrote_it() {
        assert_eq!(asked(0, &["1.2.3.4"]), "10.0.0.9", "anyone can write it");
        assert_eq!(asked(1, &["6.6.6.6, 1.2.3.4"]), "1.2.3.4", "what the client wrote stands before");
        assert_eq!(asked(2, &["6.6.6.6, 1.2.3.4", "10.0.0.7"]), "1.2.3.4", "two headers are one list");
        assert_eq!(asked(1, &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(asked(1, &["1.2.3.4:5678"]), "1.2.3.4");
        for said in [&[][..], &["unknown"], &[""]] {
            assert_eq!(asked(1, said), "10.0.0.9");
        }
        assert_eq!(asked(3, &["1.2.3.4"]), "10.0.0.9");
    }
}
