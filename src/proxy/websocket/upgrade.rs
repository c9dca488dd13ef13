//! The upgrade to WebSocket, the only protocol that a connection (HTTP/1.1) or a stream (HTTP/2) may switch to. The
//! handshake with the backend is always in HTTP/1.1.

use std::time::Duration;

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tracing::debug;

use super::stream_io::OnTunnel;
use super::tunnel::copy_both_ways;
use super::web_socket_key::WebSocketKey;
use crate::proxy::access_log::{CountedStream, LogEntry};
use crate::proxy::body::Body;
use crate::proxy::error::Error;
use crate::proxy::request::framing::is_extended_connect;
use crate::proxy::request::hop_by_hop::{has_token, strip_hop_by_hop};
use crate::proxy::request::{Fields, HeaderScan, single_field};
use crate::tasks::Tasks;
use crate::upstream::{RequestBody, ResponseBody};

/// A client's request to switch to WebSocket.
#[derive(Debug)]
pub(crate) struct WebSocketUpgrade {
    client: ClientSide,
    /// Key for the backend's handshake if the client speaks HTTP/2, which has none.
    key: Option<WebSocketKey>,
}

/// Future stream of the tunnel's client side.
#[derive(Debug)]
enum ClientSide {
    Connection(OnUpgrade),
    Stream(OnTunnel),
}

/// Takes the client's side of an upgrade out of `request`. `None` if it does not ask for WebSocket (RFC 6455 section
/// 4.1, RFC 8441 section 5).
pub(crate) fn requested(
    request: &mut Request<RequestBody>,
    scan: HeaderScan,
) -> Option<WebSocketUpgrade> {
    if *request.method() == Method::CONNECT && is_extended_connect(request) {
        let stream = request.extensions_mut().remove()?;
        return Some(WebSocketUpgrade {
            client: ClientSide::Stream(stream),
            key: Some(WebSocketKey::random()),
        });
    }
    let is_requested = scan.has(Fields::UPGRADE)
        && request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.body().is_empty()
        && is_websocket(request.headers())
        && has_token(request.headers(), &CONNECTION, "upgrade");
    is_requested.then(|| WebSocketUpgrade {
        client: ClientSide::Connection(hyper::upgrade::on(request)),
        key: None,
    })
}

impl WebSocketUpgrade {
    /// Requests the upgrade from the backend. Call this after the hop-by-hop fields are removed.
    pub(crate) fn pass_on(&self, request: &mut Request<RequestBody>) {
        set_upgrade_fields(request.headers_mut());
        if let Some(key) = &self.key {
            *request.method_mut() = Method::GET;
            let headers = request.headers_mut();
            headers.insert(SEC_WEBSOCKET_KEY, key.value());
            let version = HeaderValue::from_static("13");
            headers.entry(SEC_WEBSOCKET_VERSION).or_insert(version);
        }
    }

    /// Refuses a success other than 101 for an HTTP/2 client, which would take it for an open WebSocket.
    pub(crate) fn check(&self, status: StatusCode) -> Result<(), Error> {
        if self.key.is_some() && status.is_success() {
            return Err(Error::NoWebSocket);
        }
        Ok(())
    }
}

fn set_upgrade_fields(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Tasks that run tunnels, and the tunnels' time limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tunnels<'s> {
    pub(crate) tasks: &'s Tasks,
    /// Maximum time without progress once a side has ended or stopped reading.
    pub(crate) stall_timeout: Duration,
}

/// Switches both sides after the backend's 101, and spawns the task that runs the tunnel. Returns the response for the
/// client.
pub(crate) fn switch_protocols(
    mut response: Response<ResponseBody>,
    upgrade: Option<WebSocketUpgrade>,
    entry: &mut Option<Box<LogEntry>>,
    tunnels: Tunnels<'_>,
) -> Result<Response<Body>, Error> {
    let Some(upgrade) = upgrade.filter(|_| is_websocket(response.headers())) else {
        return Err(Error::UnaskedUpgrade);
    };
    let backend = hyper::upgrade::on(&mut response);
    let scan = HeaderScan::of(response.headers());
    strip_hop_by_hop(response.headers_mut(), scan);
    match &upgrade.key {
        None => set_upgrade_fields(response.headers_mut()),
        Some(key) => answer_connect(&mut response, key)?,
    }
    let (parts, body) = response.into_parts();
    let mut entry = entry.take();
    if let Some(entry) = &mut entry {
        entry.answered(parts.status, false);
    }
    let in_flight = body.into_in_flight();
    let stall_timeout = tunnels.stall_timeout;
    tunnels.tasks.spawn(async move {
        run_tunnel(upgrade.client, backend, entry, stall_timeout).await;
        drop(in_flight);
    });
    Ok(Response::from_parts(parts, Body::empty()))
}

/// Turns the backend's handshake response into the response to an extended CONNECT.
fn answer_connect(response: &mut Response<ResponseBody>, key: &WebSocketKey) -> Result<(), Error> {
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    let accept = headers.remove(SEC_WEBSOCKET_ACCEPT);
    headers.remove(CONTENT_LENGTH);
    headers.remove(CONTENT_TYPE);
    if accept.is_some_and(|accept| key.is_accepted_by(&accept)) {
        Ok(())
    } else {
        Err(Error::NoWebSocket)
    }
}

fn is_websocket(headers: &HeaderMap) -> bool {
    single_field(headers, &UPGRADE)
        .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

async fn run_tunnel(
    client: ClientSide,
    backend: OnUpgrade,
    entry: Option<Box<LogEntry>>,
    stall_timeout: Duration,
) {
    let backend = match backend.await {
        Ok(backend) => CountedStream::new(TokioIo::new(backend), entry),
        Err(error) => return debug!(%error, "upgrade failed"),
    };
    let ended = match client {
        ClientSide::Connection(client) => match client.await {
            Ok(client) => copy_both_ways(TokioIo::new(client), backend, stall_timeout).await,
            Err(error) => return debug!(%error, "upgrade failed"),
        },
        ClientSide::Stream(client) => match client.stream().await {
            Some(client) => copy_both_ways(client, backend, stall_timeout).await,
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
        let scan = HeaderScan::of(request.headers());
        requested(&mut request, scan).is_some()
    }

    #[test]
    fn only_a_get_for_websocket_is_an_upgrade() {
        let connection = ("connection", "keep-alive, Upgrade");
        assert!(is_upgrade("GET", &[connection, ("upgrade", "WebSocket")]));
        assert!(!is_upgrade("POST", &[connection, ("upgrade", "websocket")]));
        assert!(!is_upgrade("GET", &[connection, ("upgrade", "h2c")]));
        assert!(!is_upgrade(
            "GET",
            &[connection, ("upgrade", "websocket, h2c")]
        ));
        assert!(!is_upgrade("GET", &[("upgrade", "websocket")]));
        assert!(!is_upgrade("GET", &[connection]));
    }
}
