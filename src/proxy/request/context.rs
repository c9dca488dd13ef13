//! The context that is passed down the path of one request. Knows no site, no route and no backend.

use std::mem;

use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Version};

use super::conn_info::ConnInfo;
use super::framing;
use super::header_scan::{Fields, HeaderScan};
use super::hop_by_hop;
use super::host::Host;
use super::request_observer::RequestObserver;
use super::target::origin_form;
use crate::figures::CountedRequest;
use crate::proxy::access_log::LogEntry;
use crate::proxy::error::Error;
use crate::proxy::service_options::ServiceOptions;
use crate::traces::RequestTrace;
use crate::upstream::{Caller, Interims, has_connection_login};

/// Facts of a request in progress: those of its head, and those recorded for its response and its log line.
///
/// [`Self::new`] accepts any head. Call [`Self::read_head`] before the host, the target or the client is used.
#[derive(Debug)]
pub(crate) struct RequestContext<'r> {
    pub(crate) conn: &'r ConnInfo,
    /// Number of the worker that serves the request.
    pub(crate) worker: usize,
    /// Version of HTTP that the client speaks.
    pub(crate) version: Version,
    pub(crate) scan: HeaderScan,
    /// Empty before [`Self::read_head`].
    pub(crate) host: Host,
    /// `/` before [`Self::read_head`] and after [`Self::take_target`].
    pub(crate) target: PathAndQuery,
    /// Address of the client, if a trusted peer speaks for it.
    forwarded_client: Option<HeaderValue>,
    /// Path of a Destination for the backend, if it is on the host of the request.
    pub(crate) dav_destination: Option<PathAndQuery>,
    /// Request id for client and backend, if the site uses ids.
    pub(crate) request_id: Option<HeaderValue>,
    /// Receiver of interim responses, if the client can take any.
    pub(crate) interims: Option<Interims>,
    /// Value of Strict-Transport-Security for the response.
    pub(crate) hsts: Option<HeaderValue>,
    /// Trace of the request, where tracing is on.
    trace: Option<RequestTrace>,
    /// Access log entry, if the request is logged or its trace is sampled.
    pub(crate) entry: Option<Box<LogEntry>>,
    /// Figures of the request, once its site is known.
    pub(crate) counted: Option<CountedRequest>,
}

impl<'r> RequestContext<'r> {
    pub(crate) fn new<B>(request: &Request<B>, conn: &'r ConnInfo, worker: usize) -> Self {
        Self {
            conn,
            worker,
            version: request.version(),
            scan: HeaderScan::of(request.headers()),
            host: Host::none(),
            target: PathAndQuery::from_static("/"),
            forwarded_client: None,
            dav_destination: None,
            request_id: None,
            interims: None,
            hsts: None,
            trace: None,
            entry: None,
            counted: None,
        }
    }

    /// Begins the request's log entry and trace.
    pub(crate) fn observe<B>(&mut self, request: &Request<B>, observer: &RequestObserver) {
        self.trace = observer.trace(request.headers(), self.conn);
        self.entry = observer.begin(request, self.conn, self.trace);
    }

    /// Names the trace of the request to its backend, where tracing is on.
    pub(crate) fn pass_trace_on(&self, headers: &mut HeaderMap) {
        if let Some(trace) = &self.trace {
            trace.pass_on(headers);
        }
    }

    /// Joins the Cookie fields that HTTP/2 allows to be split, so that they count as the one field that they are.
    pub(crate) fn join_cookies<B>(&mut self, request: &mut Request<B>) {
        let may_be_split = self.version >= Version::HTTP_2 && self.scan.has(Fields::COOKIE);
        if may_be_split && hop_by_hop::join_cookies(request.headers_mut()) {
            self.scan = HeaderScan::of(request.headers());
        }
    }

    /// Reads target, host and client. Refuses a request with uncertain framing, an invalid target or host, or too large
    /// a head.
    pub(crate) fn read_head<B>(
        &mut self,
        request: &Request<B>,
        options: &ServiceOptions,
    ) -> Result<(), Error> {
        framing::check(request, self.scan, options)?;
        self.target = origin_form(request)?;
        self.host = Host::of(request)?;
        self.forwarded_client = self.conn.forwarded_client(request.headers());
        Ok(())
    }

    /// Address of the client as text, as it is sent to the backend.
    pub(crate) fn client(&self) -> &HeaderValue {
        let own = || self.conn.forwarded_for();
        self.forwarded_client.as_ref().unwrap_or_else(own)
    }

    /// Facts that an upstream needs about the request and its client, whose address is that of the connection.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Caller<'_> {
        let has_authorization = self.scan.has(Fields::AUTHORIZATION);
        Caller {
            worker: self.worker,
            client: self.conn.client.ip(),
            share: self.conn.share(),
            host: self.host.name(),
            bound: self.conn.bound_connections(),
            has_connection_login: has_authorization
                && has_connection_login(headers, &AUTHORIZATION),
            dav_destination: self.dav_destination.as_ref().map(PathAndQuery::as_str),
            is_secure: false,
            figures: self.counted.as_ref().map(|counted| &***counted.figures()),
            trace: self.entry.as_ref().and_then(|entry| entry.begin_attempts()),
        }
    }

    /// Moves the target out, which spares a reference count. The target must not be used afterwards.
    pub(crate) fn take_target(&mut self) -> PathAndQuery {
        mem::replace(&mut self.target, PathAndQuery::from_static("/"))
    }
}
