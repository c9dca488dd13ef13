//! Fields by which the backend learns of the client: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Forwarded
//! and Host.

use http::header::{FORWARDED, HOST, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::client_address::{FOR, FORWARDED_HOST, ForwardingChain, PROTO};
use super::conn_info::ConnInfo;
use super::context::RequestContext;
use super::forwarded_field;
use super::header_scan::Fields;
use super::host::Host;
use crate::upstream::is_client_field;

/// Replaces the client's fields about itself with the proxy's own. The values that a trusted peer sends are kept as far
/// as they can be trusted.
///
/// Call this after the hop-by-hop fields are removed: the client's Connection field must not name the fields set here.
pub(crate) fn set(headers: &mut HeaderMap, context: &RequestContext<'_>) {
    let RequestContext {
        conn, scan, host, ..
    } = context;
    let chain = match conn.trust() {
        Some(trust) if scan.has(Fields::CLIENT) => {
            Some(ForwardingChain::of(headers, conn.client.ip(), trust))
        }
        _ => None,
    };
    if scan.has(Fields::CLIENT) {
        drop_client_fields(headers);
    }
    match &chain {
        None => {
            headers.insert(FOR, conn.forwarded_for().clone());
            headers.insert(PROTO, HeaderValue::from_static(conn.scheme()));
            headers.insert(FORWARDED_HOST, host.value().clone());
        }
        Some(chain) => set_from_chain(headers, chain, context),
    }
    if conn.has_forwarded() {
        headers.insert(FORWARDED, forwarded(chain.as_ref(), host, conn));
    }
    if !host.is_field() {
        headers.insert(HOST, host.value().clone());
    }
}

/// Sets the fields from the chain of trusted proxies, with the peer as its last address.
fn set_from_chain(headers: &mut HeaderMap, chain: &ForwardingChain, context: &RequestContext<'_>) {
    let addresses: Vec<_> = chain.client_first().map(|hop| hop.to_string()).collect();
    let addresses = HeaderValue::try_from(addresses.join(", "));
    headers.insert(
        FOR,
        addresses.expect("IP addresses are written in visible ASCII"),
    );
    let proto = HeaderValue::from_static(chain.proto.unwrap_or_else(|| context.conn.scheme()));
    headers.insert(PROTO, proto);
    let host = chain.host.as_ref().unwrap_or_else(|| context.host.value());
    headers.insert(FORWARDED_HOST, host.clone());
}

fn forwarded(chain: Option<&ForwardingChain>, host: &Host, conn: &ConnInfo) -> HeaderValue {
    let forwarded_host = chain.and_then(|chain| chain.host.as_ref());
    let host = String::from_utf8_lossy(forwarded_host.unwrap_or_else(|| host.value()).as_bytes());
    match chain {
        None => forwarded_field::write(std::iter::once(conn.client.ip()), &host, conn.scheme()),
        Some(chain) => {
            let proto = chain.proto.unwrap_or_else(|| conn.scheme());
            forwarded_field::write(chain.client_first(), &host, proto)
        }
    }
}

fn drop_client_fields(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_client_field(name.as_str()))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::trusted_proxies::TrustedProxies;
    use super::*;

    const CLAIMS: [(&str, &str); 10] = [
        ("x-forwarded-for", "203.0.113.9, 198.51.100.1"),
        ("x_forwarded_for", "203.0.113.9"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example.org"),
        ("x-forwarded-port", "80"),
        ("forwarded", "for=203.0.113.9"),
        ("x-client-cert-subject", "CN=root"),
        ("x_client_cert_verified", "true"),
        ("client-cert", ":AAAA:"),
        ("x-request-id", "7"),
    ];

    /// Fields that the backend gets for a request with the fields `claims`.
    fn seen(claims: &[(&'static str, &'static str)], conn: &ConnInfo) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in claims {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let request =
            http::Request::get("https://www.example.org:8443/").version(http::Version::HTTP_2);
        let mut request = request.body(()).unwrap();
        *request.headers_mut() = headers;
        let mut context = RequestContext::new(&request, conn, 0);
        context.host = Host::of(&request).unwrap();
        let mut headers = request.into_parts().0.headers;
        let before = conn.client_ip(&headers);
        set(&mut headers, &context);
        assert_eq!(conn.client_ip(&headers), before);
        let mut seen: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        seen.sort();
        seen
    }

    fn conn() -> ConnInfo {
        ConnInfo::new("192.0.2.7:40000".parse().unwrap(), None)
    }

    fn trusted() -> ConnInfo {
        let trust = TrustedProxies::new(["192.0.2.0/24".parse().unwrap()]);
        conn().trusting(Arc::new(trust))
    }

    #[test]
    fn the_clients_claims_are_replaced() {
        assert_eq!(
            seen(&CLAIMS, &conn()),
            [
                "host: www.example.org:8443",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: www.example.org:8443",
                "x-forwarded-proto: https",
                "x-request-id: 7",
            ]
        );
    }

    #[test]
    fn a_trusted_peers_claims_are_kept_as_far_as_they_can_be_trusted() {
        assert_eq!(
            seen(&CLAIMS, &trusted()),
            [
                "host: www.example.org:8443",
                "x-forwarded-for: 198.51.100.1, 192.0.2.7",
                "x-forwarded-host: shop.example.org",
                "x-forwarded-proto: http",
                "x-request-id: 7",
            ]
        );
    }

    #[test]
    fn a_trusted_peer_without_claims_is_the_client() {
        assert!(seen(&[], &trusted()).contains(&"x-forwarded-for: 192.0.2.7".to_owned()));
    }

    #[test]
    fn without_tls_the_scheme_is_http_unless_a_trusted_peer_says_otherwise() {
        for (conn, claims, proto) in [
            (conn(), &[("x-forwarded-proto", "https")][..], "http"),
            (trusted(), &[("x-forwarded-proto", "https")], "https"),
            (trusted(), &[("x-forwarded-for", "198.51.100.1")], "http"),
        ] {
            let seen = seen(claims, &conn.without_tls().with_forwarded());
            assert!(
                seen.contains(&format!("x-forwarded-proto: {proto}")),
                "{seen:?}"
            );
            let forwarded = seen.iter().find(|field| field.starts_with("forwarded: "));
            let proto = format!("proto={proto}");
            assert!(forwarded.unwrap().contains(&proto), "{seen:?}");
        }
    }

    #[test]
    fn forwarded_is_optional_and_agrees_with_the_other_fields() {
        for (conn, field) in [
            (
                conn(),
                "forwarded: for=192.0.2.7;host=\"www.example.org:8443\";proto=https",
            ),
            (
                trusted(),
                "forwarded: for=198.51.100.1;host=shop.example.org;proto=http, for=192.0.2.7",
            ),
        ] {
            let seen = seen(&CLAIMS, &conn.with_forwarded());
            assert!(seen.contains(&field.to_owned()), "{seen:?}");
        }
    }
}
