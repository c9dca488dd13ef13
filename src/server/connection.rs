//! Drives one HTTP connection until it is over, overdue or the process stops.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
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
    // A request may still come in the moment in which an idle connection is asked to end.
    let farewell = Limits {
        idle_timeout: FAREWELL,
        ..watch.limits.clone()
    };
    let mut is_leaving = false;
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
            missed = overdue.as_mut() => {
                debug!(overdue = ?missed, "connection closed for its client's silence");
                if missed != Overdue::Idle || is_leaving {
                    return;
                }
                is_leaving = true;
                graceful(connection.as_mut());
                watch.activity.idle_again();
                overdue.set(watch.activity.overdue(&farewell));
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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// How long a connection is kept that idles and is then `asked` to end.
    async fn kept(asked: impl Fn(&Activity), end: impl Future<Output = ()>) -> u64 {
        let activity = Activity::new(false);
        activity.request_began();
        activity.request_ended();
        let watch = Watch {
            activity: &activity,
            limits: &Limits::default(),
            shutdown: &Tasks::new().shutdown(),
        };
        let start = Instant::now();
        drive(end.map(Ok), |_| asked(&activity), watch).await;
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_take_the_end_of_an_idle_connection_is_cut() {
        assert_eq!(kept(|_| (), pending()).await, 75 + 5);
        assert_eq!(kept(|_| (), ready(())).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_in_the_moment_of_the_end_is_answered() {
        let answered = sleep(Duration::from_secs(300));
        assert_eq!(kept(Activity::request_began, answered).await, 300);
    }
}
