//! Drives one HTTP connection until it is over, overdue or the process stops.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
use tracing::debug;

use super::Limits;
use super::activity::{Activity, Look, Overdue};
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
///
/// The connection is what most wakes are for: the clock and the stop signal are left to wake the task, and cost two
/// reads of memory while they have not.
///
/// It lies on the heap, for it would be in the task twice: as what is handed over and as what is pinned.
pub(super) async fn drive<C>(
    mut connection: Pin<Box<C>>,
    graceful: impl Fn(Pin<&mut C>),
    watch: Watch<'_>,
) where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let Watch {
        activity,
        limits,
        shutdown,
    } = watch;
    let mut stop = pin!(shutdown.notified());
    let mut bell = pin!(tokio::time::sleep(Duration::ZERO));
    let mut idle_timeout = limits.idle_timeout;
    let (mut is_watched, mut is_draining, mut is_leaving) = (false, false, false);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                if let Err(error) = result {
                    debug!(%error, "connection broken");
                }
                return Poll::Ready(());
            }
            if !is_watched {
                // From here on both of them wake this task.
                let _ = stop.as_mut().poll(cx);
            }
            if !is_draining && shutdown.is_requested() {
                is_draining = true;
                graceful(connection.as_mut());
                continue;
            }
            if is_watched && !bell.is_elapsed() {
                return Poll::Pending;
            }
            is_watched = true;
            match activity.look(limits, idle_timeout) {
                Look::Again(at) => {
                    bell.as_mut().reset(at);
                    if bell.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Look::Overdue(overdue) => {
                    debug!(?overdue, "connection closed for its client's silence");
                    if overdue != Overdue::Idle || is_leaving {
                        return Poll::Ready(());
                    }
                    // A request may still come in the moment in which an idle connection is asked to end.
                    is_leaving = true;
                    idle_timeout = FAREWELL;
                    activity.idle_again();
                    graceful(connection.as_mut());
                }
            }
        }
    })
    .await;
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
        drive(Box::pin(end.map(Ok)), |_| asked(&activity), watch).await;
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
