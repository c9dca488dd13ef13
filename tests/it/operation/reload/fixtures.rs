//! Proxyfiles and requests that the tests of reloads share.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

use crate::harness::deadline::soon;

/// A Proxyfile whose site `localhost` sends this version in a field of its responses.
pub(super) fn versioned(app: SocketAddr, version: usize) -> String {
    format!(
        "[sites.localhost]\nupstream = \"{app}\"\ndefault = true\nresponse-headers = {{ set = {{ X-Version = \"{version}\" }} }}\n"
    )
}

/// Sites that answer with their own names.
pub(super) fn named(names: &[&str]) -> String {
    let site = |name: &&str| format!("\"{name}\" = {{ respond = {{ body = \"{name}\" }} }}\n");
    let sites = names.iter().map(site).collect::<String>();
    format!("[sites]\n{sites}")
}

pub(super) async fn send(sender: &mut SendRequest<Full<Bytes>>, host: &str) -> Response<Bytes> {
    let request = Request::get("/").header("host", host);
    let request = request.body(Full::default()).unwrap();
    sender.ready().await.unwrap();
    whole(soon(sender.send_request(request)).await.unwrap()).await
}

pub(super) async fn whole(response: Response<Incoming>) -> Response<Bytes> {
    let (head, body) = response.into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

pub(super) fn version(response: &Response<Bytes>) -> String {
    let version = response.headers().get("x-version").unwrap();
    version.to_str().unwrap().to_owned()
}
