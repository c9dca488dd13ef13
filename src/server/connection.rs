//! Drives one HTTP connection until it is over, overdue or the process stops.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
use tokio::time::timeout;
use tracing::debug;

use super::Limits;
use super::activity::{Activity, Overdue};
use super::executor::TaskExecutor;
use crate::tasks::{Shutdown, Tasks};

/// How long a client has to take the end of a connection that was idle.
const FAREWELL: Duration = Duration::from_secs(5);

/// The connection's ends that [`drive`] watches.
pub(super) struct Watch<'a> {
    pub(super) activity: &'a Activity,
    pub(super) limits: &'a Limits,
    pub(super) shutdown: &'a Shutdown,
}

/// Polls `connection` to its end. `graceful` asks it to finish what runs and take nothing new.
pub(super) async fn drive<C>(
    connection: C,
    graceful: impl Fn(std::pin::Pin<&mut C>),
    watch: Watch<'_>,
) where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let mut connection = pin!(connection);
    let mut overdue = pin!(watch.activity.overdue(watch.limits));
    let mut is_draining = watch.shutdown.is_requested();
    if is_draining {
        graceful(connection.as_mut());
    }
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    debug!(%error, "connection broken");
                }
                return;
            }
            overdue = overdue.as_mut() => {
                debug!(?overdue, "connection closed for its client's silence");
                if overdue == Overdue::Idle {
                    graceful(connection.as_mut());
                    let _ = timeout(FAREWELL, connection.as_mut()).await;
                }
                return;
            }
            () = watch.shutdown.requested(), if !is_draining => {
                is_draining = true;
                graceful(connection.as_mut());
            }
        }
    }
}

/// HTTP/1.1 within `limits`. The deadlines are those of the connection's activity.
pub(super) fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.head_fields)
        .max_buf_size(limits.head_size.max(8192));
    builder
}

/// HTTP/2 within `limits`: streams, header lists, and resets of either side are bounded.
pub(super) fn http2(limits: &Limits, tasks: Tasks) -> http2::Builder<TaskExecutor> {
    let mut builder = http2::Builder::new(TaskExecutor(tasks));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head_size).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(128);
    builder
}
