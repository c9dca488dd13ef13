//! The guard that asks another server about each request before it reaches the app.

use std::fmt;
use std::time::Duration;

use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, TE,
};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::admission_effects::Grant;
use crate::proxy::error::{Error, GuardRefusal};
use crate::proxy::request::{RequestContext, forwarded, hop_by_hop};
use crate::upstream::{
    self, Address, RequestBody, ResponseBody, TlsError, Upstream, UpstreamContext,
    remove_all_spellings,
};

const METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Fields of the client's request that are about its body or its cached copy, and so are left out of the question.
const OMITTED: [HeaderName; 11] = [
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    RANGE,
    TE,
];

/// Limits on reading the body of the server's answer to its end, after which the connection can be used again.
const MAX_READ: usize = 64 * 1024;
const READ_TIMEOUT: Duration = Duration::from_millis(500);

/// Server to ask about each request, and the fields of its answer that the app gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuthOptions {
    /// URL of the server as the user wrote it.
    pub url: String,
    /// Address of the server.
    pub address: Address,
    /// Path and query of the question.
    pub target: PathAndQuery,
    /// Fields of the answer that the app gets. Clients cannot set them.
    pub copy_headers: Vec<HeaderName>,
    /// Time within which the server must answer.
    pub timeout: Duration,
}

/// Asks another server about each request.
pub(super) struct ForwardAuth {
    options: ForwardAuthOptions,
    server: Upstream,
    host: HeaderValue,
}

/// Decision of the server about one request.
pub(super) enum Decision {
    /// Lets the request pass with these fields for the app.
    Pass(Grant),
    /// Refuses the request with this response for the client.
    Refuse(Box<Response<ResponseBody>>),
}

impl ForwardAuth {
    pub(super) fn new(
        options: &ForwardAuthOptions,
        context: &UpstreamContext,
    ) -> Result<Self, TlsError> {
        let defaults = upstream::Options::default();
        let deadlines = upstream::Options {
            connect_timeout: defaults.connect_timeout.min(options.timeout),
            response_timeout: Some(options.timeout),
            ..defaults
        };
        let host = options.address.authority();
        Ok(Self {
            options: options.clone(),
            server: Upstream::new(vec![options.address.clone()], deadlines, context)?,
            host: HeaderValue::try_from(host).expect("an address is written in visible ASCII"),
        })
    }

    /// `true` if the guard was created from the same options, and its connection settings are still current.
    pub(super) fn is_current(
        &self,
        options: &ForwardAuthOptions,
        context: &UpstreamContext,
    ) -> Result<bool, TlsError> {
        Ok(self.options == *options && self.server.is_current(context)?)
    }

    /// Asks the server about `request`. Any answer other than a 2xx goes to the client.
    pub(super) async fn ask<B>(
        &self,
        request: &Request<B>,
        context: &RequestContext<'_>,
    ) -> Result<Decision, Error> {
        let question = self.question(request, context)?;
        let caller = context.caller(question.headers());
        let answer = self.server.send(question, caller).await;
        let answer = answer.map_err(GuardRefusal::ForwardAuth)?;
        if answer.status().is_informational() {
            return Err(GuardRefusal::ForwardAuthSwitched.into());
        }
        if !answer.status().is_success() {
            return Ok(Decision::Refuse(Box::new(answer)));
        }
        let (head, body) = answer.into_parts();
        let grant = Grant::new(&self.options.copy_headers, &head.headers);
        read_to_end(body).await;
        Ok(Decision::Pass(grant))
    }

    /// Builds the question: the client's fields, and the proxy's own about the client, the method and the target.
    fn question<B>(
        &self,
        request: &Request<B>,
        context: &RequestContext<'_>,
    ) -> Result<Request<RequestBody>, Error> {
        let mut fields = request.headers().clone();
        hop_by_hop::strip_request(&mut fields, context.scan);
        forwarded::set(&mut fields, context);
        if let Some(identity) = context.conn.identity() {
            identity.set_fields(&mut fields);
        }
        for name in OMITTED {
            fields.remove(name);
        }
        remove_all_spellings(&mut fields, &self.options.copy_headers);
        let method = match *request.method() {
            // HTTP/2 opens a WebSocket with CONNECT; the server is told the method that HTTP/1.1 uses.
            Method::CONNECT => "GET",
            ref method => method.as_str(),
        };
        let method = HeaderValue::from_str(method);
        let uri = HeaderValue::from_bytes(context.target.as_str().as_bytes());
        fields.insert(METHOD, method.map_err(|_| Error::Target)?);
        fields.insert(URI, uri.map_err(|_| Error::Target)?);
        fields.insert(HOST, self.host.clone());
        let mut question = Request::new(RequestBody::empty());
        *question.uri_mut() = Uri::from(self.options.target.clone());
        *question.headers_mut() = fields;
        Ok(question)
    }
}

impl fmt::Debug for ForwardAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardAuth")
            .field("host", &self.host)
            .field("target", &self.options.target)
            .finish_non_exhaustive()
    }
}

/// Reads the short body of an answer to its end, so that the connection can be used again. A long body is given up with
/// its connection.
async fn read_to_end(mut body: ResponseBody) {
    let read = async {
        let mut len = 0;
        while let Some(Ok(frame)) = body.frame().await {
            len += frame.data_ref().map_or(0, bytes::Bytes::len);
            if len > MAX_READ {
                return;
            }
        }
    };
    let _ = timeout(READ_TIMEOUT, read).await;
}
