//! Another server decides: it is asked about each request before that is let through.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, TE,
};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::admission::Grant;
use crate::proxy::error::{Error, Refusal};
use crate::proxy::request::{RequestContext, forwarded, hop_by_hop};
use crate::upstream::{
    self, Address, Caller, RequestBody, ResponseBody, TlsError, Upstream, UpstreamContext,
    remove_aliases,
};

const METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// What belongs to the body or the stored copy of the request that is asked about, and not to the question.
const NOT_ASKED: [HeaderName; 11] = [
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

/// What is read of the answer to a question, so that its connection can be used again.
const MOST_READ: usize = 64 * 1024;
const READ_TIME: Duration = Duration::from_millis(500);

/// Whom to ask, and what the app is told of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuthOptions {
    /// The whole of where it is asked, as the user wrote it.
    pub url: String,
    /// The server that decides.
    pub address: Address,
    /// The path that it is asked at.
    pub target: PathAndQuery,
    /// Fields of its answer that the app gets, and that no client can set.
    pub copy_headers: Vec<HeaderName>,
    /// For the answer.
    pub timeout: Duration,
}

/// Asks another server about each request.
pub(super) struct ForwardAuth {
    options: ForwardAuthOptions,
    server: Upstream,
    host: HeaderValue,
    copied: Arc<[HeaderName]>,
}

/// What the other server decided.
pub(super) enum Decision {
    /// The request may pass, and the app gets these fields.
    Pass(Grant),
    /// This is the answer to it.
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
            response_timeout: options.timeout,
            ..defaults
        };
        let host = options.address.authority();
        Ok(Self {
            options: options.clone(),
            server: Upstream::new(vec![options.address.clone()], deadlines, context)?,
            host: HeaderValue::try_from(host).expect("an address is written in visible ASCII"),
            copied: options.copy_headers.as_slice().into(),
        })
    }

    /// Whether one that is made of these now would be the same.
    pub(super) fn is_made_of(
        &self,
        options: &ForwardAuthOptions,
        context: &UpstreamContext,
    ) -> Result<bool, TlsError> {
        Ok(self.options == *options && self.server.is_current(context)?)
    }

    /// Asks about `request`. Any answer but a 2xx is the client's.
    pub(super) async fn ask<B>(
        &self,
        request: &Request<B>,
        context: &RequestContext<'_>,
    ) -> Result<Decision, Error> {
        let question = self.question(request, context)?;
        let caller = Caller {
            worker: context.worker,
            client: context.conn.client.ip(),
        };
        let answer = self.server.send(question, caller).await;
        let answer = answer.map_err(Refusal::ForwardAuth)?;
        if answer.status().is_informational() {
            return Err(Refusal::ForwardAuthSwitched.into());
        }
        if !answer.status().is_success() {
            return Ok(Decision::Refuse(Box::new(answer)));
        }
        let (head, body) = answer.into_parts();
        let grant = Grant::new(Arc::clone(&self.copied), &head.headers);
        read_out(body).await;
        Ok(Decision::Pass(grant))
    }

    /// The question: the client's fields, with the proxy's own word on what they came with.
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
        for name in NOT_ASKED {
            fields.remove(name);
        }
        remove_aliases(&mut fields, &self.copied);
        let method = match *request.method() {
            // A WebSocket is opened by a GET, whatever HTTP/2 calls it.
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

/// Reads what little an answer has for a body. The connection of a longer one is given up.
async fn read_out(mut body: ResponseBody) {
    let read = async {
        let mut len = 0;
        while let Some(Ok(frame)) = body.frame().await {
            len += frame.data_ref().map_or(0, bytes::Bytes::len);
            if len > MOST_READ {
                return;
            }
        }
    };
    let _ = timeout(READ_TIME, read).await;
}
