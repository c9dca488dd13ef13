//! WebSocket over HTTP/1.1 and HTTP/2: the only protocol that a connection or stream may switch to. Backends are always
//! asked over HTTP/1.1.

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
use super::tunnel::carry;
use super::web_socket_key::WebSocketKey;
use crate::proxy::access_log::{CountedStream, LogEntry};
use crate::proxy::body::Body;
use crate::proxy::error::Error;
use crate::proxy::request::framing::is_extended_connect;
use crate::proxy::request::hop_by_hop::{has_token, strip_hop_by_hop};
use crate::proxy::request::{Fields, HeaderScan};
use crate::tasks::Tasks;
use crate::upstream::{RequestBody, ResponseBody};

/// A client's request to switch to WebSocket.
#[derive(Debug)]
pub(in crate::proxy) struct WebSocketUpgrade {
    client: ClientSide,
    /// For a client of HTTP/2, which has no handshake of its own.
    key: Option<WebSocketKey>,
}

/// The client's side of the tunnel, once it is there.
#[derive(Debug)]
enum ClientSide {
    Connection(OnUpgrade),
    Stream(OnTunnel),
}

/// Takes the client's side of an upgrade out of `request`, if that asks for WebSocket (RFC 6455 section 4.1).
pub(in crate::proxy) fn requested(
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
    let is_asked = scan.has(Fields::UPGRADE)
        && request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.body().is_empty()
        && is_websocket(request.headers())
        && has_token(request.headers(), &CONNECTION, "upgrade");
    is_asked.then(|| WebSocketUpgrade {
        client: ClientSide::Connection(hyper::upgrade::on(request)),
        key: None,
    })
}

impl WebSocketUpgrade {
    /// Requests the same of the backend. Runs after the hop-by-hop fields are gone.
    pub(in crate::proxy) fn pass_on(&self, request: &mut Request<RequestBody>) {
        set_upgrade_fields(request.headers_mut());
        if let Some(key) = &self.key {
            *request.method_mut() = Method::GET;
            let headers = request.headers_mut();
            headers.insert(SEC_WEBSOCKET_KEY, key.value());
            let version = HeaderValue::from_static("13");
            headers.entry(SEC_WEBSOCKET_VERSION).or_insert(version);
        }
    }

    /// Refuses a backend's success that is no switch: over HTTP/2 the client would take it for one.
    pub(in crate::proxy) fn check(&self, status: StatusCode) -> Result<(), Error> {
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

/// The tasks that carry tunnels.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Tunnels<'s> {
    pub(in crate::proxy) tasks: &'s Tasks,
    /// How long a side that has ended, or takes nothing, is waited for.
    pub(in crate::proxy) patience: Duration,
}

/// Switches both sides after the backend's 101. From then on one of the tasks carries the bytes.
pub(in crate::proxy) fn switch(
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
    let patience = tunnels.patience;
    tunnels.tasks.spawn(async move {
        tunnel(upgrade.client, backend, entry, patience).await;
        drop(in_flight);
    });
    Ok(Response::from_parts(parts, Body::empty()))
}

/// Makes the answer to an extended CONNECT of the answer to the handshake.
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
    let mut protocols = headers.get_all(UPGRADE).iter();
    matches!(
        (protocols.next(), protocols.next()),
        (Some(protocol), None) if protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
    )
}

async fn tunnel(
    client: ClientSide,
    backend: OnUpgrade,
    entry: Option<Box<LogEntry>>,
    patience: Duration,
) {
    let backend = match backend.await {
        Ok(backend) => CountedStream::new(TokioIo::new(backend), entry),
        Err(error) => return debug!(%error, "upgrade failed"),
    };
    let ended = match client {
        ClientSide::Connection(client) => match client.await {
            Ok(client) => carry(TokioIo::new(client), backend, patience).await,
            Err(error) => return debug!(%error, "upgrade failed"),
        },
        ClientSide::Stream(client) => match client.stream().await {
            Some(client) => carry(client, backend, patience).await,
            None => return debug!("upgrade failed"),
        },
    };
    if let Err(error) = ended {
        debug!(%error, "tunnel broke");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_asked(method: &str, fields: &[(&str, &str)]) -> bool {
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
        assert!(is_asked("GET", &[connection, ("upgrade", "WebSocket")]));
        assert!(!is_asked("POST", &[connection, ("upgrade", "websocket")]));
        assert!(!is_asked("GET", &[connection, ("upgrade", "h2c")]));
        assert!(!is_asked(
            "GET",
            &[connection, ("upgrade", "websocket, h2c")]
        ));
        assert!(!is_asked("GET", &[("upgrade", "websocket")]));
        assert!(!is_asked("GET", &[connection]));
    }
}
