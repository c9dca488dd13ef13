//! The upgrade of a connection (HTTP/1.1) to another protocol, or of a stream (HTTP/2) to WebSocket. The handshake with
//! the backend is always in HTTP/1.1. Whatever the protocol, a tunnel exists only after the backend has answered 101.

use std::time::Duration;

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::stream_io::OnTunnel;
use super::tunnel::{TunnelOptions, copy_both_ways};
use super::web_socket_key::WebSocketKey;
use crate::figures::CountedRequest;
use crate::http1::OnUpgrade;
use crate::proxy::access_log::CountedStream;
use crate::proxy::body::Body;
use crate::proxy::error::Error;
use crate::proxy::request::framing::is_extended_connect;
use crate::proxy::request::hop_by_hop::{has_token, strip_hop_by_hop};
use crate::proxy::request::{Fields, HeaderScan, RequestContext};
use crate::tasks::Tasks;
use crate::upstream::{RequestBody, ResponseBody, remove_other_spellings};

/// A client's request to switch to another protocol.
#[derive(Debug)]
pub(crate) struct Upgrade {
    client: ClientSide,
    /// Protocols that the client offers, as the value of an Upgrade field.
    protocols: HeaderValue,
    /// Key for the backend's handshake if the client speaks HTTP/2, which has none.
    key: Option<WebSocketKey>,
}

/// Future stream of the tunnel's client side.
#[derive(Debug)]
enum ClientSide {
    Connection(OnUpgrade),
    Stream(OnTunnel),
}

/// Takes the client's side of an upgrade out of `request`. `None` if it does not ask for one (RFC 9110 section 7.8, RFC
/// 8441 section 5), or for a protocol that carries requests, which would bypass the proxy.
pub(crate) fn requested(request: &mut Request<RequestBody>, scan: HeaderScan) -> Option<Upgrade> {
    if *request.method() == Method::CONNECT && is_extended_connect(request) {
        let stream = request.extensions_mut().remove()?;
        return Some(Upgrade {
            client: ClientSide::Stream(stream),
            protocols: HeaderValue::from_static("websocket"),
            key: Some(WebSocketKey::random()),
        });
    }
    let may_upgrade = scan.has(Fields::UPGRADE)
        && request.method() != Method::CONNECT
        && request.version() == Version::HTTP_11
        && has_token(request.headers(), &CONNECTION, "upgrade");
    let protocols = may_upgrade.then(|| offered_protocols(request.headers()))?;
    Some(Upgrade {
        protocols: protocols?,
        client: ClientSide::Connection(request.extensions_mut().remove()?),
        key: None,
    })
}

/// Protocols that the Upgrade fields offer, as one value. `None` if there are none, or if one of them carries requests:
/// HTTP and TLS in any version, and `h2c`.
fn offered_protocols(headers: &HeaderMap) -> Option<HeaderValue> {
    let offered: Option<Vec<_>> = headers
        .get_all(UPGRADE)
        .iter()
        .map(|value| value.to_str().ok())
        .collect();
    let offered = offered?.join(", ");
    let is_allowed = protocols(&offered).all(|protocol| !carries_requests(protocol));
    let is_empty = protocols(&offered).next().is_none();
    (is_allowed && !is_empty).then(|| HeaderValue::try_from(offered).ok())?
}

/// Protocols in the value of an Upgrade field.
fn protocols(value: &str) -> impl Iterator<Item = &str> {
    let protocols = value.split(',').map(str::trim);
    protocols.filter(|protocol| !protocol.is_empty())
}

/// `true` if the protocol carries requests, which nothing would check in a tunnel.
fn carries_requests(protocol: &str) -> bool {
    let name = protocol.split('/').next().unwrap_or_default();
    let is_http2 = name
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("h2"));
    is_http2
        || ["http", "https", "tls"]
            .iter()
            .any(|it| name.eq_ignore_ascii_case(it))
}

impl Upgrade {
    /// Requests the upgrade from the backend. Call this after the hop-by-hop fields are removed.
    pub(crate) fn pass_on(&self, request: &mut Request<RequestBody>) {
        set_upgrade_fields(request.headers_mut(), self.protocols.clone());
        if let Some(key) = &self.key {
            *request.method_mut() = Method::GET;
            let headers = request.headers_mut();
            remove_other_spellings(headers, &[SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION]);
            headers.insert(SEC_WEBSOCKET_KEY, key.value());
            let version = HeaderValue::from_static("13");
            headers.entry(SEC_WEBSOCKET_VERSION).or_insert(version);
        }
    }

    /// Protocols to which the backend's 101 switches, if the client has offered them all.
    fn accepted(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let accepted = offered_protocols(headers)?;
        let offered = self.protocols.to_str().ok()?;
        let is_offered = |protocol: &str| {
            protocols(offered).any(|offered| offered.eq_ignore_ascii_case(protocol))
        };
        let is_answer = protocols(accepted.to_str().ok()?).all(is_offered);
        is_answer.then_some(accepted)
    }

    /// Refuses a success other than 101 for an HTTP/2 client, which would take it for an open WebSocket.
    pub(crate) fn check(&self, status: StatusCode) -> Result<(), Error> {
        if self.key.is_some() && status.is_success() {
            return Err(Error::NoWebSocket);
        }
        Ok(())
    }
}

fn set_upgrade_fields(headers: &mut HeaderMap, protocols: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocols);
}

/// Tasks that run tunnels, and what ends the tunnels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tunnels<'s> {
    pub(crate) tasks: &'s Tasks,
    /// Maximum time without progress once a side has ended or stopped reading.
    pub(crate) stall_timeout: Duration,
    /// End of the route that opens them.
    pub(crate) route_end: &'s CancellationToken,
}

/// Switches both sides after the backend's 101, and spawns the task that runs the tunnel. Returns the response for the
/// client.
pub(crate) fn switch_protocols(
    mut response: Response<ResponseBody>,
    upgrade: Option<Upgrade>,
    context: &mut RequestContext<'_>,
    tunnels: Tunnels<'_>,
) -> Result<Response<Body>, Error> {
    let upgrade = upgrade.ok_or(Error::UnaskedUpgrade)?;
    let accepted = upgrade.accepted(response.headers());
    let accepted = accepted.ok_or(Error::UnaskedUpgrade)?;
    let is_web_socket = accepted.as_bytes().eq_ignore_ascii_case(b"websocket");
    let scan = HeaderScan::of(response.headers());
    strip_hop_by_hop(response.headers_mut(), scan);
    response.headers_mut().remove(CONTENT_LENGTH);
    match &upgrade.key {
        None => set_upgrade_fields(response.headers_mut(), accepted),
        Some(key) => answer_connect(&mut response, key)?,
    }
    let (parts, body) = response.into_parts();
    let (backend, in_flight) = body.into_tunnel().ok_or(Error::UnaskedUpgrade)?;
    let mut entry = context.entry.take();
    if let Some(entry) = &mut entry {
        entry.answered(parts.status, false);
    }
    let options = TunnelOptions {
        stall_timeout: tunnels.stall_timeout,
        shutdown: tunnels.tasks.shutdown(),
        route_end: tunnels.route_end.clone(),
        is_web_socket,
    };
    let counted = context.counted.as_ref().map(CountedRequest::tunnel);
    let backend = CountedStream::new(backend, entry, counted);
    let tunnel = run_tunnel(upgrade.client, backend, options);
    tunnels.tasks.spawn(async move {
        tunnel.await;
        drop(in_flight);
    });
    Ok(Response::from_parts(parts, Body::empty()))
}

/// Turns the backend's handshake response into the response to an extended CONNECT.
fn answer_connect(response: &mut Response<ResponseBody>, key: &WebSocketKey) -> Result<(), Error> {
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    let accept = headers.remove(SEC_WEBSOCKET_ACCEPT);
    headers.remove(CONTENT_TYPE);
    if accept.is_some_and(|accept| key.is_accepted_by(&accept)) {
        Ok(())
    } else {
        Err(Error::NoWebSocket)
    }
}

async fn run_tunnel<S>(client: ClientSide, backend: CountedStream<S>, options: TunnelOptions)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ended = match client {
        ClientSide::Connection(client) => match client.stream().await {
            Some(client) => copy_both_ways(client, backend, options).await,
            None => return debug!("upgrade failed"),
        },
        ClientSide::Stream(client) => match client.stream().await {
            Some(client) => copy_both_ways(client, backend, options).await,
            None => return debug!("upgrade failed"),
        },
    };
    if let Err(error) = ended {
        debug!(%error, "tunnel failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_upgrade(method: &str, fields: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(RequestBody::empty()).unwrap();
        request.extensions_mut().insert(OnUpgrade::never());
        let scan = HeaderScan::of(request.headers());
        requested(&mut request, scan).is_some()
    }

    const CONNECTION_UPGRADE: (&str, &str) = ("connection", "keep-alive, Upgrade");

    #[test]
    fn every_method_may_upgrade_to_every_protocol_that_carries_no_requests() {
        for (method, protocols) in [
            ("GET", "WebSocket"),
            ("POST", "tailscale-control-protocol"),
            ("POST", "SPDY/3.1"),
            ("GET", "DERP, WebSocket"),
            ("GET", "httpx"),
        ] {
            let fields = [CONNECTION_UPGRADE, ("upgrade", protocols)];
            assert!(is_upgrade(method, &fields), "{method} {protocols}");
        }
    }

    #[test]
    fn protocols_that_carry_requests_and_incomplete_requests_are_no_upgrade() {
        for protocols in [
            "h2c",
            "H2C-14",
            "h2",
            "HTTP/2.0",
            "http",
            "TLS/1.3",
            "tls",
            "websocket, h2c",
            "websocket,TLS/1.0",
            ",",
            "",
        ] {
            let fields = [CONNECTION_UPGRADE, ("upgrade", protocols)];
            assert!(!is_upgrade("GET", &fields), "{protocols}");
        }
        let two = [
            CONNECTION_UPGRADE,
            ("upgrade", "websocket"),
            ("upgrade", "h2c"),
        ];
        assert!(!is_upgrade("GET", &two));
        assert!(!is_upgrade("GET", &[("upgrade", "websocket")]));
        assert!(!is_upgrade("GET", &[CONNECTION_UPGRADE]));
        let websocket = [CONNECTION_UPGRADE, ("upgrade", "websocket")];
        assert!(!is_upgrade("CONNECT", &websocket));
    }
}
