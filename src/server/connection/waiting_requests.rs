//! Requests of one HTTP/2 connection that wait to run, while others of their client have its share of memory. A client that asks
//! for much at once so gets its answers one after the other.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::server::SendResponse;
use tokio::time::Instant;

use super::http2_stream::AdmittedRequest;
use super::tracked_body::RequestMark;
use crate::memory::{ConnectionMemory, HeldBytes, RUNNING_SIZE, WAITING_SIZE};

/// Time after which a request is refused that could not run.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The waiting requests, in the order of their arrival.
pub(super) struct WaitingRequests {
    memory: Arc<ConnectionMemory>,
    requests: VecDeque<WaitingRequest>,
    given_back: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

struct WaitingRequest {
    admitted: AdmittedRequest,
    reply: SendResponse<HeldBytes>,
    since: Instant,
    /// Keeps the connection from counting as idle.
    _mark: RequestMark,
}

/// A request that has waited.
pub(super) struct Turn {
    pub(super) admitted: AdmittedRequest,
    pub(super) reply: SendResponse<HeldBytes>,
    pub(super) outcome: Outcome,
}

/// Outcome of a request that has waited.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// It has memory now.
    Run,
    /// It has waited for too long.
    Refuse,
    /// Its client has reset it.
    Reset,
}

impl WaitingRequests {
    /// Requests that wait for `memory`.
    pub(super) fn new(memory: Arc<ConnectionMemory>) -> Self {
        Self {
            memory,
            requests: VecDeque::new(),
            given_back: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Has a request wait, which holds [`WAITING_SIZE`] until it runs.
    pub(super) fn push(
        &mut self,
        admitted: AdmittedRequest,
        reply: SendResponse<HeldBytes>,
        mark: RequestMark,
    ) {
        self.requests.push_back(WaitingRequest {
            admitted,
            reply,
            since: Instant::now(),
            _mark: mark,
        });
    }

    /// Waits until the first request can run, or must not wait on.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        loop {
            let Some(first) = self.requests.front_mut() else {
                self.given_back = None;
                return Poll::Pending;
            };
            let outcome = first.outcome(cx);
            if let Some(outcome) = outcome
                && let Some(first) = self.requests.pop_front()
            {
                return Poll::Ready(Turn {
                    admitted: first.admitted,
                    reply: first.reply,
                    outcome,
                });
            }
            let memory = &self.memory;
            let given_back = || Box::pin(Arc::clone(memory).given_back()) as Pin<Box<_>>;
            let given_back = self.given_back.get_or_insert_with(given_back);
            ready!(given_back.as_mut().poll(cx));
            self.given_back = None;
        }
    }
}

impl WaitingRequest {
    /// Returns what becomes of the request now; `None` if it waits on.
    fn outcome(&mut self, cx: &mut Context<'_>) -> Option<Outcome> {
        if self.reply.poll_reset(cx).is_ready() {
            return Some(Outcome::Reset);
        }
        if self.admitted.held.grow_to_run(RUNNING_SIZE - WAITING_SIZE) {
            return Some(Outcome::Run);
        }
        (self.since.elapsed() >= LONGEST_WAIT).then_some(Outcome::Refuse)
    }
}
