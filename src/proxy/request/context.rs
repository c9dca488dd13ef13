//! The one value that is lent down the path of a request. Knows no site, no route and no backend.

use std::mem;

use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Version};

use super::conn_info::ConnInfo;
use super::framing;
use super::header_scan::HeaderScan;
use super::host::Host;
use crate::proxy::access_log::LogEntry;
use crate::proxy::error::Error;
use crate::proxy::service_options::ServiceOptions;
use crate::upstream::Interims;

/// A request on its way through the proxy: what its head says, and what is noted for its response and its log line.
///
/// Made by [`Self::new`] from any head; [`Self::read_head`] runs before all that asks for the host, the target or the
/// client.
#[derive(Debug)]
pub(in crate::proxy) struct RequestContext<'r> {
    pub(in crate::proxy) conn: &'r ConnInfo,
    /// Number of the worker that serves the request.
    pub(in crate::proxy) worker: usize,
    /// Version of HTTP that the client speaks.
    pub(in crate::proxy) version: Version,
    pub(in crate::proxy) scan: HeaderScan,
    /// Empty until the head was read.
    pub(in crate::proxy) host: Host,
    /// `/` until the head was read, and once more after [`Self::take_target`].
    pub(in crate::proxy) target: PathAndQuery,
    /// Address of the client, where a trusted peer speaks for it.
    forwarded_client: Option<HeaderValue>,
    /// Id that client and backend are told, if the site has ids.
    pub(in crate::proxy) request_id: Option<HeaderValue>,
    /// Interim responses of the backend, if the client can take any.
    pub(in crate::proxy) interims: Option<Interims>,
    /// Value of Strict-Transport-Security for the response.
    pub(in crate::proxy) hsts: Option<HeaderValue>,
    /// Entry of the access log, if there is one for the request.
    pub(in crate::proxy) entry: Option<Box<LogEntry>>,
}

impl<'r> RequestContext<'r> {
    pub(in crate::proxy) fn new<B>(
        request: &Request<B>,
        conn: &'r ConnInfo,
        worker: usize,
    ) -> Self {
        Self {
            conn,
            worker,
            version: request.version(),
            scan: HeaderScan::of(request.headers()),
            host: Host::none(),
            target: PathAndQuery::from_static("/"),
            forwarded_client: None,
            request_id: None,
            interims: None,
            hsts: None,
            entry: None,
        }
    }

    /// Reads host, target and client. Refuses a request whose framing, target, size or host is not certain.
    pub(in crate::proxy) fn read_head<B>(
        &mut self,
        request: &Request<B>,
        options: &ServiceOptions,
    ) -> Result<(), Error> {
        framing::check(request, self.scan, options)?;
        self.target = framing::origin_form(request)?;
        self.host = Host::of(request)?;
        self.forwarded_client = self.conn.forwarded_client(request.headers());
        Ok(())
    }

    /// Address of the client as text, as the backend is told.
    pub(in crate::proxy) fn client(&self) -> &HeaderValue {
        let own = || self.conn.forwarded_for();
        self.forwarded_client.as_ref().unwrap_or_else(own)
    }

    /// Gives the target away without counting a reference to it. Nothing after that may ask for the target.
    pub(in crate::proxy) fn take_target(&mut self) -> PathAndQuery {
        mem::replace(&mut self.target, PathAndQuery::from_static("/"))
    }
}
