//! The observer of requests, which begins their log lines and their traces.

use http::{HeaderMap, Request, StatusCode};

use super::conn_info::ConnInfo;
use crate::proxy::access_log::{AccessLog, LogEntry, ServerSpan};
use crate::proxy::error::{Reason, RejectedEarly};
use crate::traces::{RequestTrace, Tracer};

/// Begins the log line and the trace of each request of one worker, as far as log and tracing are on. Clones are cheap.
#[derive(Clone, Debug, Default)]
pub struct RequestObserver {
    access_log: Option<AccessLog>,
    tracer: Option<Tracer>,
}

/// Response that was sent without the service, such as a redirect to HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    /// Status of the response.
    pub status: StatusCode,
    /// Size of its body in bytes.
    pub bytes: u64,
    /// Reason of the refusal, if the request was refused.
    pub reason: Option<Reason>,
    /// `true` if the request is written to the access log.
    pub is_logged: bool,
}

impl RequestObserver {
    /// Creates the observer of the first worker.
    #[must_use]
    pub fn new(access_log: Option<AccessLog>, tracer: Option<Tracer>) -> Self {
        Self { access_log, tracer }
    }

    /// Returns the observer of the worker with this number.
    #[must_use]
    pub fn for_worker(&self, worker: usize) -> Self {
        Self {
            access_log: self.access_log.as_ref().map(|log| log.for_worker(worker)),
            tracer: self.tracer.as_ref().map(|tracer| tracer.for_worker(worker)),
        }
    }

    /// Observes a request that was answered without the service.
    pub fn note<B>(&self, request: &Request<B>, conn: &ConnInfo, response: DirectResponse) {
        let trace = self.trace(request.headers(), conn);
        let entry = self.begin(request, conn, trace);
        let entry = if response.is_logged {
            entry
        } else {
            entry.and_then(LogEntry::silenced)
        };
        if let Some(mut entry) = entry {
            if let Some(reason) = response.reason {
                entry.refused(reason);
            }
            entry.answered(response.status, false);
            entry.sent(response.bytes);
        }
    }

    /// Observes a request that could not be parsed. It begins a trace of its own.
    pub fn note_rejected_early(&self, conn: &ConnInfo, rejected: RejectedEarly) {
        let no_fields = HeaderMap::new();
        let trace = self.trace(&no_fields, conn);
        let span = self.span(trace, &Request::new(()), conn);
        let queue = self.access_log.as_ref().map(AccessLog::queue);
        if queue.is_none() && span.is_none() {
            return;
        }
        let mut entry = LogEntry::unreadable(queue, conn.client, rejected.version);
        entry.set_trace(trace, span);
        entry.refused(rejected.reason);
        entry.answered(rejected.status, false);
    }

    /// Trace to which a request with these fields belongs, where tracing is on.
    pub(crate) fn trace(&self, headers: &HeaderMap, conn: &ConnInfo) -> Option<RequestTrace> {
        let tracer = self.tracer.as_ref()?;
        Some(tracer.begin(headers, conn.is_trusted()))
    }

    /// Begins the entry of a request, if it is logged or its trace is sampled. It is boxed to keep the futures of requests
    /// small.
    pub(crate) fn begin<B>(
        &self,
        request: &Request<B>,
        conn: &ConnInfo,
        trace: Option<RequestTrace>,
    ) -> Option<Box<LogEntry>> {
        let span = self.span(trace, request, conn);
        let queue = self.access_log.as_ref().map(AccessLog::queue);
        if queue.is_none() && span.is_none() {
            return None;
        }
        let client = conn.client_addr(request.headers());
        let mut entry = Box::new(LogEntry::new(queue, request, client));
        entry.set_trace(trace, span);
        Some(entry)
    }

    /// Begins the span of a request, if its trace is sampled.
    fn span<B>(
        &self,
        trace: Option<RequestTrace>,
        request: &Request<B>,
        conn: &ConnInfo,
    ) -> Option<Box<ServerSpan>> {
        let trace = self.tracer.as_ref()?.sampled(trace?, request.method())?;
        let is_secure = conn.is_secure(request.headers());
        let scheme = if is_secure { "https" } else { "http" };
        Some(Box::new(ServerSpan::new(trace, scheme)))
    }
}
