//! WebSocket over HTTP/1.1: the only protocol that a connection may switch to.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tracing::debug;

use super::access_log::{Counted, Entry};
use super::body::Body;
use super::error::Error;
use super::headers::{has_token, strip_hop_by_hop};
use super::survey::{Fields, Survey};
use crate::tasks::Tasks;
use crate::upstream::{InFlight, RequestBody, ResponseBody};

/// The client's half of an upgrade to WebSocket, when `request` asks for one (RFC 6455 section 4.1).
pub(super) fn asked(request: &mut Request<RequestBody>, survey: Survey) -> Option<OnUpgrade> {
    let is_asked = survey.has(Fields::UPGRADE)
        && request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.body().is_empty()
        && is_websocket(request.headers())
        && has_token(request.headers(), &CONNECTION, "upgrade");
    is_asked.then(|| hyper::upgrade::on(request))
}

/// Asks the backend for the same. Runs after the hop-by-hop fields are gone.
pub(super) fn ask(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Switches both sides after the backend's 101, and has one of `tasks` carry the bytes from then on.
pub(super) fn switch(
    mut response: Response<ResponseBody>,
    client: Option<OnUpgrade>,
    entry: &mut Option<Box<Entry>>,
    tasks: &Tasks,
) -> Result<Response<Body>, Error> {
    let Some(client) = client.filter(|_| is_websocket(response.headers())) else {
        return Err(Error::UnaskedUpgrade);
    };
    let backend = hyper::upgrade::on(&mut response);
    let survey = Survey::of(response.headers());
    strip_hop_by_hop(response.headers_mut(), survey);
    ask(response.headers_mut());
    let (parts, body) = response.into_parts();
    let mut entry = entry.take();
    if let Some(entry) = &mut entry {
        entry.answered(parts.status, false);
    }
    tasks.spawn(tunnel(client, backend, body.into_in_flight(), entry));
    Ok(Response::from_parts(parts, Body::empty()))
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let mut protocols = headers.get_all(UPGRADE).iter();
    matches!(
        (protocols.next(), protocols.next()),
        (Some(protocol), None) if protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
    )
}

async fn tunnel(
    client: OnUpgrade,
    backend: OnUpgrade,
    in_flight: Option<InFlight>,
    entry: Option<Box<Entry>>,
) {
    let (client, backend) = match tokio::try_join!(client, backend) {
        Ok(halves) => halves,
        Err(error) => return debug!(%error, "upgrade failed"),
    };
    let mut client = TokioIo::new(client);
    let mut backend = Counted::new(TokioIo::new(backend), entry);
    if let Err(error) = copy_bidirectional(&mut client, &mut backend).await {
        debug!(%error, "tunnel broke");
    }
    drop(in_flight);
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
        let survey = Survey::of(request.headers());
        asked(&mut request, survey).is_some()
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
