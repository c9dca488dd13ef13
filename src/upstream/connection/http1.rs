//! One HTTP/1.1 connection to a backend. Must not know the backend or its requests.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::Sleep;
use tracing::debug;

use crate::name::HostName;
use crate::upstream::body::RequestBody;
use crate::upstream::options::HeaderCase;
use crate::upstream::transport::BackendStream;

/// Maximum size of the head of a response, in bytes.
pub(super) const RESPONSE_HEAD_SIZE: usize = 64 * 1024;
/// Maximum number of fields in the head of a response.
const RESPONSE_HEAD_FIELDS: usize = 256;

/// Future that reads from and writes to a connection while it is polled.
type Driver = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// Connection that carries one request at a time. Dropping it closes it.
///
/// The connection has no task of its own. The task that waits for a response drives it, so that neither the request nor
/// the response has to move between tasks.
pub(in crate::upstream) struct Http1Connection {
    sender: SendRequest<RequestBody>,
    /// `None` after the connection has ended.
    driver: Option<Driver>,
    /// Set by the stream when a byte arrives.
    has_received: Arc<AtomicBool>,
    /// Host of the client's request that the TLS handshake has named, if it named one. Only requests for this host may
    /// use the connection.
    server_name: Option<HostName>,
    /// Timer of all exchanges, since resetting a timer is cheaper than creating one.
    timer: Pin<Box<Sleep>>,
}

impl Http1Connection {
    /// Starts HTTP/1.1 on `stream`, which sets `has_received` when a byte arrives. Responses may have folded fields and
    /// spaces after field names, as old servers send them (RFC 9112 sections 5.1 and 5.2).
    pub(in crate::upstream) async fn handshake(
        stream: BackendStream,
        has_received: Arc<AtomicBool>,
        header_case: HeaderCase,
    ) -> Result<Self, hyper::Error> {
        let (sender, connection) = Builder::new()
            .max_buf_size(RESPONSE_HEAD_SIZE)
            .max_headers(RESPONSE_HEAD_FIELDS)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .title_case_headers(header_case == HeaderCase::Title)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(connection.with_upgrades())),
            has_received,
            server_name: None,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        })
    }

    /// Reserves the connection for requests for `host`, which the TLS handshake has named.
    pub(in crate::upstream) fn for_server_name(self, host: Option<&HostName>) -> Self {
        Self {
            server_name: host.cloned(),
            ..self
        }
    }

    /// Host for which the connection is reserved.
    pub(in crate::upstream) fn server_name(&self) -> Option<&HostName> {
        self.server_name.as_ref()
    }

    /// `true` if a byte has arrived since the last [`Self::begin_exchange`].
    pub(in crate::upstream) fn has_received(&self) -> bool {
        self.has_received.load(Ordering::Acquire)
    }

    /// Starts a new exchange, for which no byte has arrived yet.
    pub(in crate::upstream) fn begin_exchange(&self) {
        self.has_received.store(false, Ordering::Relaxed);
    }

    pub(in crate::upstream) fn sender(&mut self) -> &mut SendRequest<RequestBody> {
        &mut self.sender
    }

    pub(in crate::upstream) fn timer(&mut self) -> Pin<&mut Sleep> {
        self.timer.as_mut()
    }

    /// Reads and writes as much as possible now. Wakes the task of `cx` when more is possible.
    pub(in crate::upstream) fn drive(&mut self, cx: &mut Context<'_>) {
        let Some(driver) = &mut self.driver else {
            return;
        };
        if let Poll::Ready(outcome) = driver.as_mut().poll(cx) {
            self.driver = None;
            if let Err(error) = outcome {
                debug!(%error, "upstream connection ended");
            }
        }
    }

    /// Drives the connection once, and forgets the waker of earlier calls.
    pub(in crate::upstream) fn drive_without_waker(&mut self) {
        self.drive(&mut Context::from_waker(Waker::noop()));
    }

    /// `true` if another request may be sent now.
    pub(in crate::upstream) fn is_ready(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }

    /// `true` if the connection is open. An exchange may still run on it.
    pub(in crate::upstream) fn is_open(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed()
    }
}

impl fmt::Debug for Http1Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1Connection")
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}
