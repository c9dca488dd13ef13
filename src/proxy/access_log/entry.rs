//! The entry of one request, which is written as a line when it is dropped. Knows no file.

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
use crate::per_worker::CachePadded;
use crate::proxy::error::Reason;
use crate::upstream::BodyError;

/// One request in progress. Its line is written when the entry is dropped: with the response's body, with the tunnel
/// that the request became, or with the request itself if the client left.
#[derive(Debug)]
pub(crate) struct LogEntry {
    queue: Arc<CachePadded<LineQueue>>,
    began: Instant,
    request: RequestRecord,
    outcome: Outcome,
    is_silent: bool,
}

impl LogEntry {
    pub(super) fn new<B>(
        queue: Arc<CachePadded<LineQueue>>,
        request: &Request<B>,
        client: SocketAddr,
    ) -> Self {
        let record = RequestRecord::new(request, client, queue.has_query());
        Self::of(queue, record)
    }

    /// Begins the entry of a request that could not be read.
    pub(super) fn unreadable(
        queue: Arc<CachePadded<LineQueue>>,
        client: SocketAddr,
        version: Version,
    ) -> Self {
        Self::of(queue, RequestRecord::unreadable(client, version))
    }

    fn of(queue: Arc<CachePadded<LineQueue>>, request: RequestRecord) -> Self {
        Self {
            began: Instant::now(),
            request,
            outcome: Outcome::default(),
            is_silent: false,
            queue,
        }
    }

    /// Keeps the line from being written.
    pub(crate) fn silence(&mut self) {
        self.is_silent = true;
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
        if self.is_silent {
            return;
        }
        self.outcome.duration = self.began.elapsed();
        let line = format::line(self.queue.format(), &self.request, &self.outcome);
        self.queue.send(line);
    }
}
