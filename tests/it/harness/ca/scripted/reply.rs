//! Answers of a scripted CA.

use std::convert::Infallible;

use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};

use super::script::Rewrite;

/// The body of an answer, or the way in which the connection ends.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Reply {
    /// An answer of any bytes.
    pub(crate) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// A resource.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, body.to_string()).header("content-type", "application/json")
    }

    /// A problem document of a kind of RFC 8555 section 6.7.
    pub(crate) fn problem(status: u16, kind: &str, detail: &str) -> Self {
        let body = json!({
            "type": format!("urn:ietf:params:acme:error:{kind}"),
            "detail": detail,
            "status": status,
        });
        Self::new(status, body.to_string()).header("content-type", "application/problem+json")
    }

    /// Adds a header field to the answer.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    pub(super) fn rewritten(mut self, rewrite: &Rewrite) -> Self {
        self.body = rewrite(&self.body).into();
        self
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).unwrap();
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body = Full::new(self.body).map_err(|never| match never {});
        let mut response = Response::new(body.boxed_unsync());
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response
    }
}

/// The connection ends here.
#[derive(Debug, thiserror::Error)]
#[error("cut by the script")]
pub(super) struct Cut;

/// An answer with an endless body of whitespace.
pub(super) fn endless() -> Response<Body> {
    let spaces = futures_util::stream::repeat_with(|| {
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b' '; 16 * 1024])))
    });
    let body = StreamBody::new(spaces).map_err(|never| match never {});
    Response::new(body.boxed_unsync())
}
