//! What the backend is told of the client: fields that only the proxy may set.

use http::header::{FORWARDED, HOST, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::conn_info::ConnInfo;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Drops what the client claims of itself, and sets X-Forwarded-For, -Proto, -Host and Host afresh.
///
/// Runs after the hop-by-hop fields are gone, so that no Connection can name what is set here.
pub(super) fn set(headers: &mut HeaderMap, host: &HeaderValue, conn: &ConnInfo) {
    let claimed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_claim(name.as_str()))
        .cloned()
        .collect();
    for name in claimed {
        headers.remove(name);
    }
    headers.insert(FOR, conn.forwarded_for().clone());
    headers.insert(PROTO, HeaderValue::from_static("https"));
    headers.insert(FORWARDED_HOST, host.clone());
    headers.insert(HOST, host.clone());
}

/// Whether a field would be taken for the word of a proxy. Many backends read `_` as `-`.
fn is_claim(name: &str) -> bool {
    const PREFIX: &str = "x-forwarded-";
    is_alias(name, FORWARDED.as_str())
        || is_alias(name, "x-real-ip")
        || name
            .get(..PREFIX.len())
            .is_some_and(|start| is_alias(start, PREFIX))
}

fn is_alias(name: &str, canonical: &str) -> bool {
    name.len() == canonical.len()
        && name
            .bytes()
            .zip(canonical.bytes())
            .all(|(byte, expected)| byte == expected || (byte == b'_' && expected == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_known_in_every_spelling() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded_proto",
            "x-forwarded-prefix",
            "x-real-ip",
            "x_real_ip",
        ] {
            assert!(is_claim(name), "{name}");
        }
        for name in [
            "x-forwarded",
            "x-real-ips",
            "forwarded-by",
            "x-request-id",
            "a_b",
        ] {
            assert!(!is_claim(name), "{name}");
        }
    }

    #[test]
    fn the_backend_hears_the_proxy_and_not_the_client() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-for", "203.0.113.9"),
            ("x_forwarded_for", "203.0.113.9"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-port", "80"),
            ("forwarded", "for=203.0.113.9"),
            ("x-request-id", "7"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let conn = ConnInfo::new(
            "192.0.2.7:40000".parse().unwrap(),
            "192.0.2.1:443".parse().unwrap(),
            None,
        );
        let host = HeaderValue::from_static("www.example.org:8443");
        set(&mut headers, &host, &conn);
        let mut seen: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        seen.sort();
        assert_eq!(
            seen,
            [
                "host: www.example.org:8443",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: www.example.org:8443",
                "x-forwarded-proto: https",
                "x-request-id: 7",
            ]
        );
    }
}
