//! One HTTP/1.1 connection to a backend. Must not know the backend or its requests.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use crate::http1::{Connection, FieldCase, Upgraded};
use crate::name::HostName;
use crate::upstream::body::RequestBody;
use crate::upstream::options::HeaderCase;
use crate::upstream::transport::BackendStream;

/// Connection that carries one exchange at a time. Dropping it closes it.
///
/// The connection has no task of its own. The task that waits for a response drives it, so that neither the request nor
/// the response has to move between tasks. Boxed, because it moves between the pool, the lease and the response.
#[derive(Debug)]
pub(in crate::upstream) struct Http1Connection(Box<State>);

#[derive(Debug)]
struct State {
    http: Connection<BackendStream, RequestBody>,
    /// Host of the client's request that the TLS handshake has named, if it named one. Only requests for this host may
    /// use the connection.
    server_name: Option<HostName>,
    /// Timer of all exchanges, since resetting a timer is cheaper than creating one.
    timer: Pin<Box<Sleep>>,
}

impl Http1Connection {
    /// Starts HTTP/1.1 on `stream`. If there is a `server_name`, only requests for this host may use the connection.
    pub(in crate::upstream) fn new(
        stream: BackendStream,
        header_case: HeaderCase,
        server_name: Option<&HostName>,
    ) -> Self {
        let field_case = match header_case {
            HeaderCase::Lower => FieldCase::Lower,
            HeaderCase::Title => FieldCase::Title,
        };
        Self(Box::new(State {
            http: Connection::new(stream, field_case),
            server_name: server_name.cloned(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }))
    }

    /// Host for which the connection is reserved.
    pub(in crate::upstream) fn server_name(&self) -> Option<&HostName> {
        self.0.server_name.as_ref()
    }

    pub(in crate::upstream) fn http(&self) -> &Connection<BackendStream, RequestBody> {
        &self.0.http
    }

    pub(in crate::upstream) fn http_mut(&mut self) -> &mut Connection<BackendStream, RequestBody> {
        &mut self.0.http
    }

    pub(in crate::upstream) fn timer(&mut self) -> Pin<&mut Sleep> {
        self.0.timer.as_mut()
    }

    /// `true` if a request can be sent now. Idle connections are not driven, so only this shows if the backend has closed
    /// one.
    pub(in crate::upstream) fn check(&mut self) -> bool {
        self.0.http.check()
    }

    /// `true` if another request may be sent, as far as is known without [`Self::check`].
    pub(in crate::upstream) fn is_idle(&self) -> bool {
        self.0.http.is_idle()
    }

    /// Sends the rest of a request after the end of its response.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.http.poll_sent(cx)
    }

    /// Byte stream of a connection that has switched to another protocol; `None` if it has not.
    pub(in crate::upstream) fn into_upgraded(self) -> Option<Upgraded<BackendStream>> {
        self.0.http.into_upgraded()
    }
}
