//! Drives one HTTP connection until it is over, overdue or the process stops.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http::{StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioTimer;
use tracing::debug;

use super::Limits;
use super::activity::{Activity, Look, Overdue, REST_AFTER};
use super::reason;
use crate::proxy::{Reason, RejectedEarly, WorkerRefusals};
use crate::tasks::Shutdown;

/// How long a client has to take the end of a connection that was idle.
const FAREWELL: Duration = Duration::from_secs(5);

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// The connection's ends that [`drive`] watches.
pub(super) struct Watch<'a> {
    pub(super) activity: &'a Activity,
    pub(super) limits: &'a Limits,
    pub(super) shutdown: &'a Shutdown,
    pub(super) refusals: &'a WorkerRefusals,
}

/// What broke a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    #[error(transparent)]
    Http2(#[from] h2::Error),
}

/// An HTTP connection that can be told how things stand.
pub(super) trait Conversation: Future<Output = Result<(), Self::Error>> {
    type Error: Into<Broken> + std::fmt::Display;

    /// Finishes what runs and takes nothing new.
    fn end(self: Pin<&mut Self>);

    /// Nothing has come for a while: what is not needed to wait for more may go.
    fn rest(self: Pin<&mut Self>) {}
}

/// Polls `connection` to its end, and returns what broke it.
///
/// The connection is what most wakes are for: the clock and the stop signal are left to wake the task, and cost two
/// reads of memory while they have not.
///
/// It lies on the heap, for it would be in the task twice: as what is handed over and as what is pinned.
pub(super) async fn drive<C: Conversation>(
    mut connection: Pin<Box<C>>,
    watch: Watch<'_>,
) -> Option<Broken> {
    let (activity, limits, shutdown) = (watch.activity, watch.limits, watch.shutdown);
    let mut stop = pin!(shutdown.notified());
    let mut bell = pin!(tokio::time::sleep(Duration::ZERO));
    let mut idle_timeout = limits.idle_timeout;
    let (mut is_watched, mut is_draining, mut is_leaving) = (false, false, false);
    let (mut is_resting, mut patience) = (false, Duration::ZERO);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                let broken = result.inspect_err(|error| debug!(%error, "connection broken"));
                return Poll::Ready(broken.err().map(Into::into));
            }
            if !is_watched {
                // From here on both of them wake this task.
                let _ = stop.as_mut().poll(cx);
            }
            if !is_draining && shutdown.is_requested() {
                is_draining = true;
                connection.as_mut().end();
                continue;
            }
            let has_risen = is_resting && !activity.is_resting();
            if is_watched && !has_risen && !bell.is_elapsed() {
                return Poll::Pending;
            }
            is_watched = true;
            is_resting = activity.is_resting();
            patience = next_patience(patience, has_risen);
            match activity.look(limits, idle_timeout, patience) {
                Look::Again(at) => {
                    bell.as_mut().reset(at);
                    if bell.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Look::Unused => {
                    activity.set_resting(true);
                    if !is_draining && !is_leaving {
                        connection.as_mut().rest();
                    }
                }
                Look::Overdue(overdue) => {
                    debug!(?overdue, "connection closed for its client's silence");
                    if overdue != Overdue::Idle || is_leaving {
                        watch.refusals.count(reason::overdue(overdue));
                        return Poll::Ready(None);
                    }
                    // A request may still come in the moment in which an idle connection is asked to end.
                    is_leaving = true;
                    idle_timeout = FAREWELL;
                    activity.idle_again();
                    connection.as_mut().end();
                }
            }
        }
    })
    .await
}

/// How a request was refused that made the protocol give its connection up; `None` where there was no request or no answer.
pub(super) fn unread(broken: &Broken, activity: &Activity) -> Option<RejectedEarly> {
    let (version, (status, reason)) = match broken {
        Broken::Http1(error) if error.is_incomplete_message() && activity.awaits_head() => {
            let cut = (StatusCode::BAD_REQUEST, Reason::HeadCut);
            (Version::HTTP_11, cut)
        }
        Broken::Http1(error) => (Version::HTTP_11, unread_http1(error)?),
        Broken::Http2(error) => (Version::HTTP_2, unread_http2(error)?),
    };
    Some(RejectedEarly {
        version,
        status,
        reason,
    })
}

/// What the proxy has said of its client with a GOAWAY.
fn unread_http2(broken: &h2::Error) -> Option<(StatusCode, Reason)> {
    if !broken.is_go_away() || !broken.is_library() {
        return None;
    }
    match broken.reason()? {
        h2::Reason::NO_ERROR | h2::Reason::INTERNAL_ERROR => None,
        h2::Reason::ENHANCE_YOUR_CALM if is_head_too_large(broken) => Some(HEAD_TOO_LARGE),
        h2::Reason::ENHANCE_YOUR_CALM => Some((StatusCode::TOO_MANY_REQUESTS, Reason::Http2Flood)),
        _ => Some((StatusCode::BAD_REQUEST, Reason::Http2Protocol)),
    }
}

/// Nothing but the text tells which of the two it was.
fn is_head_too_large(broken: &h2::Error) -> bool {
    let text = broken.to_string();
    ["too_many_continuations", "header_list_way_too_large"]
        .iter()
        .any(|word| text.contains(word))
}

const HEAD_TOO_LARGE: (StatusCode, Reason) = (
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    Reason::HeadTooLarge,
);

fn unread_http1(broken: &hyper::Error) -> Option<(StatusCode, Reason)> {
    if broken.is_parse_version_h2() {
        return Some((StatusCode::BAD_REQUEST, Reason::Http2Protocol));
    }
    if !broken.is_parse() {
        return None;
    }
    Some(match broken.is_parse_too_large() {
        // Nothing else tells which of the two it was.
        true if broken.to_string().starts_with("URI") => {
            (StatusCode::URI_TOO_LONG, Reason::TargetTooLong)
        }
        true => HEAD_TOO_LARGE,
        false => (StatusCode::BAD_REQUEST, Reason::Malformed),
    })
}

/// Why an answer over HTTP/1.1 has broken off, if that is what has broken the connection.
pub(super) fn broken_answer(broken: &Broken) -> Option<Reason> {
    let Broken::Http1(error) = broken else {
        return None;
    };
    let source = error.source().filter(|_| error.is_user())?;
    Some(Reason::of_body(source.downcast_ref()?))
}

/// How long to wait with the next look: a stream may run for hours, and is looked at less and less often.
fn next_patience(last: Duration, has_risen: bool) -> Duration {
    match has_risen {
        true => REST_AFTER,
        false => (2 * last).clamp(REST_AFTER, Duration::from_secs(60)),
    }
}

impl<I, B, S> Conversation for http1::Connection<I, S>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    I: Read + Write + Unpin,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    type Error = hyper::Error;

    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::Context;

    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::tasks::Tasks;

    struct Asked<'a, A> {
        asked: A,
        end: Pin<Box<dyn Future<Output = ()> + 'a>>,
    }

    impl<A: Unpin> Future for Asked<'_, A> {
        type Output = Result<(), hyper::Error>;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            self.end.as_mut().poll(cx).map(Ok)
        }
    }

    impl<A: Fn() + Unpin> Conversation for Asked<'_, A> {
        type Error = hyper::Error;

        fn end(self: Pin<&mut Self>) {
            (self.asked)();
        }
    }

    /// How long a connection is kept that idles and is then `asked` to end.
    async fn kept(asked: impl Fn(&Activity), end: impl Future<Output = ()>) -> u64 {
        let activity = Activity::new(false);
        activity.request_began();
        activity.request_ended();
        let watch = Watch {
            activity: &activity,
            limits: &Limits::default(),
            shutdown: &Tasks::new().shutdown(),
            refusals: &WorkerRefusals::default(),
        };
        let start = Instant::now();
        let connection = Asked {
            asked: || asked(&activity),
            end: Box::pin(end),
        };
        drive(Box::pin(connection), watch).await;
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_take_the_end_of_an_idle_connection_is_cut() {
        assert_eq!(kept(|_| (), pending()).await, 75 + 5);
        assert_eq!(kept(|_| (), ready(())).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_runs_for_long_is_seldom_looked_at() {
        let activity = Activity::new(false);
        activity.request_began();
        let mut hour = Box::pin(sleep(Duration::from_secs(3600)));
        let looks = std::cell::Cell::new(0);
        let running = poll_fn(|cx| {
            looks.set(looks.get() + 1);
            hour.as_mut().poll(cx)
        });
        let watch = Watch {
            activity: &activity,
            limits: &Limits::default(),
            shutdown: &Tasks::new().shutdown(),
            refusals: &WorkerRefusals::default(),
        };
        let connection = Asked {
            asked: || (),
            end: Box::pin(running),
        };
        drive(Box::pin(connection), watch).await;
        assert!(looks.get() < 150, "{}", looks.get());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_in_the_moment_of_the_end_is_answered() {
        let answered = sleep(Duration::from_secs(300));
        assert_eq!(kept(Activity::request_began, answered).await, 300);
    }
}
