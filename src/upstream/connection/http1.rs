//! One HTTP/1.1 connection to a backend. Knows nothing of the backend or the request that it serves.

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

use crate::upstream::body::RequestBody;
use crate::upstream::transport::BackendStream;

/// Largest head of a response.
pub(super) const RESPONSE_HEAD_SIZE: usize = 64 * 1024;

/// Reads and writes a connection for as long as it is polled.
type Driver = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// A connection that carries one request at a time. Dropping it closes it.
///
/// It has no task of its own: the task that waits for its response drives it, so that a request and its response never
/// cross from one task to another.
pub(in crate::upstream) struct Http1Connection {
    sender: SendRequest<RequestBody>,
    /// `None` once the connection is over.
    driver: Option<Driver>,
    /// Set by the stream when a byte arrives.
    has_received: Arc<AtomicBool>,
    /// One timer for all exchanges: to move it on is cheaper than to make it.
    timer: Pin<Box<Sleep>>,
}

impl Http1Connection {
    /// Starts HTTP/1.1 on `stream`, which sets `has_received` when a byte arrives.
    pub(in crate::upstream) async fn handshake(
        stream: BackendStream,
        has_received: Arc<AtomicBool>,
    ) -> Result<Self, hyper::Error> {
        let (sender, connection) = Builder::new()
            .max_buf_size(RESPONSE_HEAD_SIZE)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(connection.with_upgrades())),
            has_received,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        })
    }

    /// `true` if a byte has arrived since the last [`Self::begin_exchange`].
    pub(in crate::upstream) fn has_received(&self) -> bool {
        self.has_received.load(Ordering::Acquire)
    }

    /// Forgets the bytes of the exchanges before.
    pub(in crate::upstream) fn begin_exchange(&self) {
        self.has_received.store(false, Ordering::Relaxed);
    }

    pub(in crate::upstream) fn sender(&mut self) -> &mut SendRequest<RequestBody> {
        &mut self.sender
    }

    pub(in crate::upstream) fn timer(&mut self) -> Pin<&mut Sleep> {
        self.timer.as_mut()
    }

    /// Reads and writes what can be read and written now. The task of `cx` is woken when there is more.
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

    /// Drives the connection so that nothing wakes a task any more.
    pub(in crate::upstream) fn drive_without_waker(&mut self) {
        self.drive(&mut Context::from_waker(Waker::noop()));
    }

    /// `true` if another request may be sent now.
    pub(in crate::upstream) fn is_ready(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }

    /// `true` if the connection is open, perhaps with an exchange that is not over.
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
