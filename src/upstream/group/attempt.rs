//! Attempts to send one request, each at one backend.

use http::{Request, StatusCode};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::attempt_spans::AttemptSpans;
use super::backend_set::BackendSet;
use super::selected_backend::{Selected, Selection};
use crate::name::HostName;
use crate::upstream::backend::HeldConnection;
use crate::upstream::body::RequestBody;
use crate::upstream::error::Error;
use crate::upstream::exchange::{ConnectionNeeds, Dialer, Failure, Http1Lease, Lease};

/// Maximum number of backends that one request tries.
const MAX_CONNECT_ATTEMPTS: usize = 3;

/// A backend, and the connection to it on which the request is sent.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) backend: usize,
    pub(super) lease: Lease,
}

impl Attempt {
    /// Records a failure of these backends, where another one now has a connection for the same name.
    pub(super) fn blaming(self, suspects: &[usize], attempts: &Attempts<'_>) -> Self {
        for backend in suspects {
            attempts.backends.record_failure(*backend);
        }
        self
    }
}

/// An attempt that got no response.
#[derive(Debug)]
pub(super) struct FailedAttempt {
    pub(super) backend: usize,
    /// `true` if the connection had carried other requests before.
    pub(super) is_reused: bool,
    pub(super) failure: Failure,
    /// Copy of the request, if it may be sent twice.
    pub(super) copy: Option<Request<RequestBody>>,
}

/// All attempts of one request.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    pub(super) backends: &'a BackendSet,
    pub(super) selection: Selection<'a>,
    pub(super) dialer: &'a Dialer,
    /// `true` if the request asks for an upgrade, and so needs an HTTP/1.1 connection.
    pub(super) is_upgrade: bool,
    /// Number of retries so far.
    pub(super) retries: u16,
    /// PROXY header at the start of each connection, if the backends want one.
    pub(super) proxy_header: Option<Vec<u8>>,
    /// Host that TLS handshakes name, if it is that of the request.
    pub(super) server_name: Option<HostName>,
}

impl Attempts<'_> {
    /// Takes a connection that belongs to the client's connection, if there is one to a backend with room.
    pub(super) fn bound(&self) -> Option<Attempt> {
        let caller = &self.selection.caller;
        let (list, worker) = (caller.bound?.list()?, caller.worker);
        let backends = self.backends.as_slice().iter().enumerate();
        for (index, backend) in backends.filter(|(_, backend)| !backend.is_down()) {
            let Some(bound) = list.take(backend.lane(worker)) else {
                continue;
            };
            let is_for_name = bound.connection.server_name() == self.server_name.as_ref();
            let selected = is_for_name.then(|| self.backends.enter(index, caller));
            match selected.flatten() {
                None => list.keep(backend.lane(worker), bound),
                Some(Selected { backend, in_flight }) => {
                    let lease = Http1Lease::bound(bound, in_flight, list);
                    return Some(Attempt {
                        backend,
                        lease: Lease::Http1(lease),
                    });
                }
            }
        }
        None
    }

    /// Counts a connection to the selected backend for the client. Returns `false` if the client has its share already.
    pub(super) fn hold_connection(&self, selected: &mut Selected) -> bool {
        let share = self.selection.caller.share;
        selected.in_flight.hold_one_of(self.dialer.free(), share)
    }

    /// Waits until the client may hold one more connection, which then counts. If the connection `may_be_shared`, waits until
    /// one may have room or may be opened, and nothing counts. The request must not count at any backend meanwhile.
    pub(super) async fn await_share(
        &self,
        may_be_shared: bool,
        deadline: Instant,
    ) -> Result<Option<HeldConnection>, Error> {
        let waiting = async {
            let share = self.selection.caller.share?;
            if may_be_shared {
                share.released().await;
                return None;
            }
            loop {
                if let Some(held) = share.take(self.dialer.free()) {
                    return Some(held);
                }
                share.released().await;
            }
        };
        let held = timeout_at(deadline, waiting).await;
        held.map_err(|_| Error::ClientShare)
    }

    /// Requirements of the request on a connection, which must be a new one if it `is_fresh`.
    pub(super) fn needs(&self, is_fresh: bool) -> ConnectionNeeds<'_> {
        ConnectionNeeds {
            is_upgrade: self.is_upgrade,
            is_fresh,
            proxy_header: self.proxy_header.as_deref(),
            server_name: self.server_name.as_ref(),
            share: self.selection.caller.share,
        }
    }

    /// `true` if the request may use a connection that others use at the same time. Such a connection counts for the
    /// client that has opened it.
    pub(super) fn may_share(&self, selected: &Selected) -> bool {
        let in_flight = &selected.in_flight;
        let is_alone = self.is_upgrade || self.proxy_header.is_some();
        !is_alone && in_flight.pool().is_shared(in_flight.address())
    }

    /// Takes a pooled connection to the selected backend. Returns `Err` with the selection if there is none, if the client
    /// has its share of connections, or if the request needs a new one because of its PROXY header.
    pub(super) fn reuse(&self, mut selected: Selected) -> Result<Attempt, Selected> {
        if !self.may_share(&selected) && !self.hold_connection(&mut selected) {
            return Err(selected);
        }
        let Selected { backend, in_flight } = selected;
        let pool = in_flight.pool();
        let may_reuse = self.proxy_header.is_none();
        let server_name = self.server_name.as_ref();
        let pooled = may_reuse
            .then(|| pool.check_out(in_flight.address(), self.is_upgrade, server_name))
            .flatten();
        match pooled {
            Some(pooled) => Ok(Attempt {
                backend,
                lease: Lease::reused(pooled, in_flight),
            }),
            None => Err(Selected { backend, in_flight }),
        }
    }

    /// Spans of the attempts, if the request is traced.
    pub(super) fn spans(&self) -> Option<AttemptSpans<'_>> {
        self.selection.caller.trace.map(AttemptSpans)
    }

    /// Records that the request is sent to a backend, which learns of the span.
    pub(super) fn begin_exchange(&self, request: &mut Request<RequestBody>, lease: &Lease) {
        if let Some(spans) = self.spans() {
            spans.begin(request, lease);
        }
    }

    /// Records that the backend has answered.
    pub(super) fn answered(&self, status: StatusCode) {
        if let Some(trace) = self.selection.caller.trace {
            trace.answered(status);
        }
    }

    /// Records that no connection to a backend could be opened.
    pub(super) fn note_failed_connection(&mut self, backend: usize, error: &Error) {
        if let Some(spans) = self.spans() {
            let address = self.backends.as_slice()[backend].address();
            spans.connection_failed(address, error);
        }
        let worker = self.selection.caller.worker;
        self.backends.count_failure(backend, worker, error);
        self.selection.tried.push(backend);
    }

    /// Records that the request goes on at another backend than this one.
    pub(super) fn note_next_backend(&self, backend: usize, error: &Error) {
        debug!(
            error = error as &dyn std::error::Error,
            "connection failed; trying another backend"
        );
        let worker = self.selection.caller.worker;
        self.backends.count_retry(backend, worker);
    }

    /// `true` if there is another backend that the request may try.
    pub(super) fn may_try_another(&self) -> bool {
        let count = self.backends.as_slice().len();
        self.selection.tried.len() < count.min(MAX_CONNECT_ATTEMPTS)
    }
}
