//! Drives one HTTP connection until it is over, a deadline is missed or the process stops. Knows neither version of HTTP.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tracing::debug;

use super::connection_error::ConnectionError;
use super::deadlines::{Check, Deadlines, Missed, PARK_AFTER, Timeouts};
use crate::proxy::WorkerRefusals;
use crate::server::lingering_close::LingeringClose;
use crate::server::options::Limits;
use crate::tasks::Shutdown;

/// Time for a client to close an idle connection after it was asked to.
const IDLE_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for it when the process stops, and for the rest of a head that has begun. A drain waits for requests, not for idle
/// clients.
const DRAIN_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for a client of HTTP/2 to see that it is asked, when another process takes over.
const HANDOVER_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the last frames of a connection that the proxy closes on its own.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest time between two checks whether a connection can be parked.
const LONGEST_RECHECK: Duration = Duration::from_secs(60);

/// A connection of any version of HTTP.
pub(in crate::server) trait Protocol:
    Future<Output = Result<(), Self::Error>>
{
    type Error: Into<ConnectionError> + std::fmt::Display;

    /// Finishes the running requests and accepts no more.
    fn graceful_shutdown(self: Pin<&mut Self>);

    /// `true` if the client is told before the connection closes. Where it is not, its next request may meet the close.
    fn announces_end(&self) -> bool;

    /// Closes an idle connection whose client does not heed [`graceful_shutdown`](Self::graceful_shutdown). Returns `false` if
    /// the protocol has nothing to say before the connection is cut.
    fn close(self: Pin<&mut Self>) -> bool {
        false
    }

    /// Returns the stream of a connection that has ended, if it was closed before all of a request was read.
    fn into_lingering(self: Pin<Box<Self>>) -> Option<LingeringClose> {
        None
    }

    /// Drops all that is not needed to wait for the next request. Called when the connection has not been used for a while.
    fn park(self: Pin<&mut Self>) {}
}

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Requests are accepted.
    Open,
    /// The client was asked to close the connection. A request that is on its way is still answered.
    Closing,
    /// The protocol closes the connection.
    Closed,
}

/// The end of a connection.
#[derive(Debug)]
pub(in crate::server) struct Ended {
    /// The error that ended it.
    pub(in crate::server) error: Option<ConnectionError>,
    /// Rest of it, if its client may still write.
    pub(in crate::server) lingering: Option<LingeringClose>,
}

/// Ends a connection when it must end.
pub(in crate::server) struct Driver<'a> {
    pub(in crate::server) deadlines: &'a Deadlines,
    pub(in crate::server) limits: &'a Limits,
    pub(in crate::server) shutdown: &'a Shutdown,
    pub(in crate::server) refusals: &'a WorkerRefusals,
}

/// Moment at which a connection is closed after the process is asked to stop. Boxed: hardly any connection needs it, and each
/// would have room for it.
type Turn<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl<'a> Driver<'a> {
    /// Polls `connection` to its end.
    ///
    /// Nearly all wakes are for the connection itself. The timer and the shutdown signal are therefore not polled on each
    /// wake: they wake the task when they are due, and cost two reads of memory until then.
    ///
    /// The connection comes boxed, or the task would have room for it twice: as an argument and as the pinned value.
    pub(in crate::server) async fn drive<C: Protocol>(self, mut connection: Pin<Box<C>>) -> Ended {
        let (deadlines, shutdown) = (self.deadlines, self.shutdown);
        let mut stop = pin!(shutdown.notified());
        let mut turn = None;
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        let (mut timeouts, mut phase) = (Timeouts::of(self.limits), Phase::Open);
        let (mut is_armed, mut is_draining) = (false, false);
        let (mut is_parked, mut recheck) = (false, Duration::ZERO);
        let error = poll_fn(|cx| {
            loop {
                if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                    let error = result.inspect_err(|error| debug!(%error, "connection failed"));
                    return Poll::Ready(error.err().map(Into::into));
                }
                if !is_armed {
                    // From here on, the signal and the timer wake this task.
                    let _ = stop.as_mut().poll(cx);
                }
                let must_close = !is_draining && shutdown.is_requested();
                if must_close && self.is_its_turn(&*connection, &mut turn, cx) {
                    is_draining = true;
                    timeouts.shorten(self.close_timeout());
                    self.begin_close(connection.as_mut(), &mut phase);
                    // The deadlines are checked anew, since they have become shorter.
                    is_armed = false;
                    continue;
                }
                let was_woken = is_parked && !deadlines.is_parked();
                if is_armed && !was_woken && !timer.is_elapsed() {
                    return Poll::Pending;
                }
                is_armed = true;
                is_parked = deadlines.is_parked();
                recheck = next_recheck(recheck, was_woken);
                match deadlines.check(timeouts, recheck) {
                    Check::Again(at) => {
                        timer.as_mut().reset(at);
                        if timer.as_mut().poll(cx).is_pending() {
                            return Poll::Pending;
                        }
                    }
                    Check::Unused => {
                        deadlines.set_parked(true);
                        if phase == Phase::Open {
                            connection.as_mut().park();
                        }
                    }
                    Check::Missed(missed) => {
                        if self.is_cut(missed, connection.as_mut(), &mut phase, &mut timeouts) {
                            return Poll::Ready(None);
                        }
                    }
                }
            }
        })
        .await;
        Ended {
            error,
            lingering: connection.into_lingering(),
        }
    }

    /// `true` if this connection is to be closed now, after the process was asked to stop. Where the client is not told, that is
    /// a moment of its own at a handover; until then, the response to each request says that it is the last one.
    fn is_its_turn<C: Protocol>(
        &self,
        connection: &C,
        turn: &mut Option<Turn<'a>>,
        cx: &mut Context<'_>,
    ) -> bool {
        if turn.is_none() && (connection.announces_end() || self.shutdown.span().is_zero()) {
            return true;
        }
        let shutdown = self.shutdown;
        let turn = turn.get_or_insert_with(|| Box::pin(shutdown.turn()));
        turn.as_mut().poll(cx).is_ready()
    }

    /// Returns the time for a client to close its idle connection once it is asked to.
    fn close_timeout(&self) -> Duration {
        if self.shutdown.span().is_zero() {
            DRAIN_CLOSE_TIMEOUT
        } else {
            HANDOVER_CLOSE_TIMEOUT
        }
    }

    /// Asks the client to close the connection. It has the idle time-out from now on for that.
    fn begin_close<C: Protocol>(&self, connection: Pin<&mut C>, phase: &mut Phase) {
        if *phase == Phase::Open {
            *phase = Phase::Closing;
            connection.graceful_shutdown();
        }
        self.deadlines.restart_idle();
        self.deadlines.restart_head();
    }

    /// Acts on a missed deadline. Returns `true` if the connection is to be dropped.
    fn is_cut<C: Protocol>(
        &self,
        missed: Missed,
        connection: Pin<&mut C>,
        phase: &mut Phase,
        timeouts: &mut Timeouts,
    ) -> bool {
        match (missed, *phase) {
            (Missed::Idle, Phase::Open) => {
                debug!("idle connection closed");
                timeouts.idle = IDLE_CLOSE_TIMEOUT;
                self.begin_close(connection, phase);
                false
            }
            (Missed::Idle | Missed::Head, Phase::Closing) => {
                debug!("client does not close its idle connection");
                self.refusals.count(missed.reason());
                *phase = Phase::Closed;
                timeouts.shorten(CLOSE_TIMEOUT);
                self.deadlines.restart_idle();
                self.deadlines.restart_head();
                !connection.close()
            }
            (Missed::Idle | Missed::Head, Phase::Closed) => true,
            (missed, _) => {
                debug!(deadline = ?missed, "connection cut");
                self.refusals.count(missed.reason());
                true
            }
        }
    }
}

/// Returns when to check again whether a connection can be parked. Streams that run for hours are checked less and less often.
fn next_recheck(last: Duration, was_woken: bool) -> Duration {
    if was_woken {
        PARK_AFTER
    } else {
        (2 * last).clamp(PARK_AFTER, LONGEST_RECHECK)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::tasks::Tasks;

    struct Asked<'a, A> {
        asked: A,
        end: Pin<Box<dyn Future<Output = ()> + 'a>>,
    }

    impl<A: Unpin> Future for Asked<'_, A> {
        type Output = Result<(), h2::Error>;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            self.end.as_mut().poll(cx).map(Ok)
        }
    }

    impl<A: Fn() + Unpin> Protocol for Asked<'_, A> {
        type Error = h2::Error;

        fn graceful_shutdown(self: Pin<&mut Self>) {
            (self.asked)();
        }

        fn announces_end(&self) -> bool {
            false
        }
    }

    /// Returns for how many seconds an idle connection is kept whose client is `asked` to end it.
    async fn kept(asked: impl Fn(&Deadlines), end: impl Future<Output = ()>) -> u64 {
        let deadlines = Deadlines::new(false);
        deadlines.request_began();
        deadlines.request_ended();
        kept_by(&Tasks::new(), &deadlines, asked, end).await
    }

    async fn kept_by(
        tasks: &Tasks,
        deadlines: &Deadlines,
        asked: impl Fn(&Deadlines),
        end: impl Future<Output = ()>,
    ) -> u64 {
        let driver = Driver {
            deadlines,
            limits: &Limits::default(),
            shutdown: &tasks.shutdown(),
            refusals: &WorkerRefusals::default(),
        };
        let start = Instant::now();
        let connection = Asked {
            asked: || asked(deadlines),
            end: Box::pin(end),
        };
        driver.drive(Box::pin(connection)).await;
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_close_an_idle_connection_is_cut() {
        assert_eq!(kept(|_| (), pending()).await, 75 + 5);
        assert_eq!(kept(|_| (), ready(())).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_runs_for_long_is_seldom_checked() {
        let deadlines = Deadlines::new(false);
        deadlines.request_began();
        let mut hour = Box::pin(sleep(Duration::from_secs(3600)));
        let looks = std::cell::Cell::new(0);
        let running = poll_fn(|cx| {
            looks.set(looks.get() + 1);
            hour.as_mut().poll(cx)
        });
        let driver = Driver {
            deadlines: &deadlines,
            limits: &Limits::default(),
            shutdown: &Tasks::new().shutdown(),
            refusals: &WorkerRefusals::default(),
        };
        let connection = Asked {
            asked: || (),
            end: Box::pin(running),
        };
        driver.drive(Box::pin(connection)).await;
        assert!(looks.get() < 150, "{}", looks.get());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_while_an_idle_connection_closes_is_answered() {
        let answered = sleep(Duration::from_secs(300));
        let asked = |deadlines: &Deadlines| {
            deadlines.request_began();
        };
        assert_eq!(kept(asked, answered).await, 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_requests_and_a_second_for_idle_clients() {
        let tasks = Tasks::new();
        tasks.stop();
        for is_h2 in [false, true] {
            let idle = Deadlines::new(is_h2);
            idle.request_began();
            idle.request_ended();
            assert_eq!(kept_by(&tasks, &idle, |_| (), pending()).await, 1);

            let silent = Deadlines::new(is_h2);
            let kept = kept_by(&tasks, &silent, |_| (), pending()).await;
            assert_eq!(kept, 1, "a head that has begun");

            let running = Deadlines::new(is_h2);
            running.request_began();
            let over = async {
                sleep(Duration::from_secs(20)).await;
                running.request_ended();
                pending().await
            };
            assert_eq!(kept_by(&tasks, &running, |_| (), over).await, 21);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_are_not_told_of_the_end_keep_their_idle_connections_for_a_while_at_a_handover()
     {
        let mut kept_seconds = Vec::new();
        for _ in 0..20 {
            let (tasks, idle) = (Tasks::new(), Deadlines::new(false));
            tasks.stop_within(Duration::from_secs(24));
            idle.request_began();
            idle.request_ended();
            kept_seconds.push(kept_by(&tasks, &idle, |_| (), pending()).await);
        }
        kept_seconds.sort_unstable();
        let handover = HANDOVER_CLOSE_TIMEOUT.as_secs();
        assert!(kept_seconds[0] < handover + 12, "{kept_seconds:?}");
        assert!(kept_seconds[19] > handover + 12, "{kept_seconds:?}");
        assert!(kept_seconds[19] <= handover + 25, "{kept_seconds:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_begins_later_shortens_the_wait_for_an_idle_client() {
        let (tasks, deadlines) = (Tasks::new(), Deadlines::new(true));
        deadlines.request_began();
        deadlines.request_ended();
        let stopping = async {
            sleep(Duration::from_secs(10)).await;
            tasks.stop();
        };
        let kept = kept_by(&tasks, &deadlines, |_| (), pending());
        assert_eq!(tokio::join!(kept, stopping).0, 11);
    }
}
