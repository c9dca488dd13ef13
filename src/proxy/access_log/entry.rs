//! The entry of one request, which is written as a line, and recorded as a span, when it is dropped. Knows no file.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Version};
use http_body::Frame;
use tokio::time::Instant;

use super::format;
use super::line_queue::LineQueue;
use super::outcome::Outcome;
use super::request_record::RequestRecord;
use super::server_span::ServerSpan;
use crate::per_worker::CachePadded;
use crate::proxy::error::Reason;
use crate::traces::{RequestTrace, SampledTrace};
use crate::upstream::BodyError;

/// One request in progress. Its line is written, and its trace ends, when the entry is dropped: with the response's body,
/// with the tunnel that the request became, or with the request itself if the client left.
#[derive(Debug)]
pub(crate) struct LogEntry {
    /// Queue for the line. `None` if the request is only traced.
    queue: Option<Arc<CachePadded<LineQueue>>>,
    began: Instant,
    request: RequestRecord,
    outcome: Outcome,
    span: Option<Box<ServerSpan>>,
}

impl LogEntry {
    /// Begins the entry of a request.
    pub(crate) fn new<B>(
        queue: Option<Arc<CachePadded<LineQueue>>>,
        request: &Request<B>,
        client: SocketAddr,
    ) -> Self {
        let has_query = queue.as_ref().is_some_and(|queue| queue.has_query());
        Self::of(queue, RequestRecord::new(request, client, has_query))
    }

    /// Begins the entry of a request that could not be read.
    pub(crate) fn unreadable(
        queue: Option<Arc<CachePadded<LineQueue>>>,
        client: SocketAddr,
        version: Version,
    ) -> Self {
        Self::of(queue, RequestRecord::unreadable(client, version))
    }

    fn of(queue: Option<Arc<CachePadded<LineQueue>>>, request: RequestRecord) -> Self {
        Self {
            began: Instant::now(),
            request,
            outcome: Outcome::default(),
            span: None,
            queue,
        }
    }

    /// Records the trace of the request, and its span if the trace is sampled.
    pub(crate) fn set_trace(&mut self, trace: Option<RequestTrace>, span: Option<Box<ServerSpan>>) {
        self.outcome.trace_id = trace.map(|trace| trace.trace_id());
        self.span = span;
    }

    /// Begins the attempts at backends. Returns the trace that records them, if it is sampled.
    pub(crate) fn begin_attempts(&self) -> Option<&SampledTrace> {
        let trace = self.span.as_ref()?.trace();
        trace.begin_attempts();
        Some(trace)
    }

    /// Records the prefix of the route, for the span.
    pub(crate) fn routed(&mut self, prefix: &str) {
        if let Some(span) = &mut self.span {
            span.routed(prefix);
        }
    }

    /// Keeps the line from being written. `None` if the entry has no other use.
    pub(crate) fn silenced(mut self: Box<Self>) -> Option<Box<Self>> {
        self.queue = None;
        self.span.is_some().then_some(self)
    }

    /// Records the request id.
    pub(crate) fn set_request_id(&mut self, id: HeaderValue) {
        self.outcome.request_id = Some(id);
    }

    /// Records the backend that received the request.
    pub(crate) fn sent_to(&mut self, upstream: impl ToString) {
        self.outcome.upstream = Some(upstream.to_string());
    }

    /// Records the reason why the proxy answers the request itself.
    pub(crate) fn refused(&mut self, reason: Reason) {
        self.outcome.reason = Some(reason.word());
    }

    /// Records that the head of the response goes to the client.
    pub(crate) fn answered(&mut self, status: StatusCode, has_body: bool) {
        self.outcome.status = Some(status);
        self.outcome.first_byte = Some(self.began.elapsed());
        self.outcome.is_whole = !has_body || self.request.is_head;
    }

    /// Records a frame of the response's body. `is_end` tells that it was the last one.
    pub(crate) fn passed(&mut self, frame: Option<&Result<Frame<Bytes>, BodyError>>, is_end: bool) {
        match frame {
            Some(Ok(frame)) => {
                self.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
                self.outcome.is_whole |= is_end;
            }
            // The body broke off, but not because the client left.
            Some(Err(error)) => {
                self.refused(Reason::of_body(error));
                self.outcome.is_broken = true;
                self.outcome.is_whole = true;
            }
            None => self.outcome.is_whole = true,
        }
    }

    /// Counts bytes that were sent to the client.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.outcome.sent += bytes;
    }
}

impl Drop for LogEntry {
    fn drop(&mut self) {
        let span = self.span.take();
        if let Some(span) = &span {
            span.end_exchange(&self.outcome);
        }
        self.outcome.duration = self.began.elapsed();
        if let Some(span) = span {
            span.end(&self.request, &self.outcome);
        }
        if let Some(queue) = &self.queue {
            queue.send(format::line(queue.format(), &self.request, &self.outcome));
        }
    }
}
