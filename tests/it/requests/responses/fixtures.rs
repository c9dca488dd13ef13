//! Requests over both protocols to the whole proxy.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};

use crate::harness::deadline::soon;
use crate::harness::proxy::Proxy;

pub(super) fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// A response as a client received it.
pub(super) struct Seen {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map_or("-", |value| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} is present twice");
        value
    }
}

/// Sends one request for a site over each of the protocols.
pub(super) async fn both(
    proxy: &Proxy,
    (method, host, path): (&str, &str, &str),
    fields: &[(&str, &str)],
) -> [Seen; 2] {
    let (client, address) = (proxy.client(), proxy.https());
    let request = |uri: String| {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request
    };
    let one = request(path.to_owned())
        .header("host", host)
        .body(Full::default());
    let two = request(format!("https://{host}{path}")).body(Full::default());
    let mut http1 = client.http1(address, host).await;
    let mut http2 = client.http2(address, host).await;
    let answers = [
        soon(http1.send_request(one.unwrap())).await.unwrap(),
        soon(http2.send_request(two.unwrap())).await.unwrap(),
    ];
    let [one, two] = answers.map(|answer| async {
        let (head, body) = answer.into_parts();
        Seen {
            status: head.status,
            headers: head.headers,
            body: soon(body.collect()).await.unwrap().to_bytes(),
        }
    });
    [one.await, two.await]
}
