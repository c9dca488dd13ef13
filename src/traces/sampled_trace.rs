//! The trace of a request whose spans are recorded.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::id::SpanId;
use super::open_span::OpenSpan;
use super::request_trace::RequestTrace;
use super::span::{Attributes, Span, SpanKind, method_name};
use super::span_queue::SpanQueue;
use super::trace_context::TRACEPARENT;
use crate::per_worker::CachePadded;

/// The trace of a request whose spans are recorded: one of the request, and one of each attempt at a backend. Call
/// [`Self::end_exchange`] and then [`Self::end`] when the request is over.
#[derive(Debug)]
pub struct SampledTrace {
    trace: RequestTrace,
    method: Method,
    queue: Arc<CachePadded<SpanQueue>>,
    attempts: Mutex<Attempts>,
}

/// Attempts at backends.
#[derive(Debug)]
struct Attempts {
    /// Start of the next attempt.
    next: Instant,
    /// Number of attempts so far.
    count: u32,
    /// The last attempt, until it has failed or the request is over.
    exchange: Option<OpenSpan>,
}

impl SampledTrace {
    pub(super) fn new(
        trace: RequestTrace,
        method: Method,
        queue: Arc<CachePadded<SpanQueue>>,
    ) -> Self {
        Self {
            trace,
            method,
            queue,
            attempts: Mutex::new(Attempts {
                next: Instant::now(),
                count: 0,
                exchange: None,
            }),
        }
    }

    /// Begins the attempts: the first one starts now.
    pub fn begin_attempts(&self) {
        self.attempts.lock().next = Instant::now();
    }

    /// Records that the request is sent to a backend. Names the span to the backend, unless the field was removed on the way.
    pub fn begin_exchange(&self, headers: &mut HeaderMap, describe: impl FnOnce(&mut Attributes)) {
        let mut attempts = self.attempts.lock();
        let mut span = self.attempt(&mut attempts);
        describe(span.attributes());
        if let Some(value) = headers.get_mut(TRACEPARENT) {
            *value = self.trace.value(span.id());
        }
        attempts.exchange = Some(span);
    }

    /// Records that the backend has answered. The span ends with the request.
    pub fn answered(&self, status: StatusCode) {
        if let Some(exchange) = &mut self.attempts.lock().exchange {
            exchange.answered(status);
        }
    }

    /// Records that the exchange has failed, with the word for the reason. Another attempt may follow.
    pub fn failed(&self, reason: &str) {
        let mut attempts = self.attempts.lock();
        attempts.next = Instant::now();
        if let Some(mut exchange) = attempts.exchange.take() {
            exchange.failed(reason);
        }
    }

    /// Records that no connection to a backend could be opened. Another attempt may follow.
    pub fn connection_failed(&self, reason: &str, describe: impl FnOnce(&mut Attributes)) {
        let mut attempts = self.attempts.lock();
        let mut span = self.attempt(&mut attempts);
        attempts.next = Instant::now();
        describe(span.attributes());
        span.failed(reason);
    }

    /// Begins the span of the next attempt.
    fn attempt(&self, attempts: &mut Attempts) -> OpenSpan {
        let start = SystemTime::now().checked_sub(attempts.next.elapsed());
        let mut attributes = Attributes::default();
        attributes.method(self.method.as_str().as_bytes());
        if attempts.count > 0 {
            attributes.number("http.request.resend_count", attempts.count);
        }
        attempts.count += 1;
        let name = method_name(self.method.as_str().as_bytes());
        let span = Span {
            trace_id: self.trace.trace_id,
            span_id: SpanId::random(),
            parent: Some(self.trace.span_id),
            kind: SpanKind::Client,
            name: name.unwrap_or("HTTP").to_owned(),
            start: start.unwrap_or(SystemTime::UNIX_EPOCH),
            duration: Duration::ZERO,
            attributes,
        };
        OpenSpan::new(span, attempts.next, Arc::clone(&self.queue))
    }

    /// Ends the exchange with the backend, if there is one. `broken` is the reason why the response broke off.
    pub fn end_exchange(&self, broken: Option<&str>) {
        let mut exchange = self.attempts.lock().exchange.take();
        if let (Some(exchange), Some(reason)) = (&mut exchange, broken) {
            exchange.failed(reason);
        }
    }

    /// Ends the request, and records its span. The exchange must have ended.
    pub fn end(self, finished: FinishedRequest) {
        let FinishedRequest {
            name,
            start,
            duration,
            attributes,
        } = finished;
        self.queue.send(Span {
            trace_id: self.trace.trace_id,
            span_id: self.trace.span_id,
            parent: self.trace.parent,
            kind: SpanKind::Server,
            name,
            start,
            duration,
            attributes,
        });
    }
}

/// Facts of a request that is over, for its span.
#[derive(Debug)]
pub struct FinishedRequest {
    /// Name of the span.
    pub name: String,
    /// Time at which the request began.
    pub start: SystemTime,
    /// Time that it took.
    pub duration: Duration,
    /// Attributes of the span.
    pub attributes: Attributes,
}
