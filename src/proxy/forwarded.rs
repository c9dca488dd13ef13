//! What the backend is told of the client: fields that only the proxy may set.

use http::header::{HOST, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::conn_info::ConnInfo;
use super::host::Host;
use super::survey::{Fields, Survey, is_claim};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Drops what the client claims of itself, and sets X-Forwarded-For, -Proto, -Host and Host afresh.
///
/// Runs after the hop-by-hop fields are gone, so that no Connection can name what is set here.
pub(super) fn set(headers: &mut HeaderMap, survey: Survey, host: &Host, conn: &ConnInfo) {
    if survey.has(Fields::CLAIM) {
        drop_claims(headers);
    }
    headers.insert(FOR, conn.forwarded_for().clone());
    headers.insert(PROTO, HeaderValue::from_static("https"));
    headers.insert(FORWARDED_HOST, host.value().clone());
    if !host.is_field() {
        headers.insert(HOST, host.value().clone());
    }
}

fn drop_claims(headers: &mut HeaderMap) {
    let claimed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_claim(name.as_str()))
        .cloned()
        .collect();
    for name in claimed {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let conn = ConnInfo::new("192.0.2.7:40000".parse().unwrap(), None);
        let request =
            http::Request::get("https://www.example.org:8443/").version(http::Version::HTTP_2);
        let host = Host::of(&request.body(()).unwrap()).unwrap();
        let survey = Survey::of(&headers);
        set(&mut headers, survey, &host, &conn);
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
