//! The entry of one request, which becomes a line when it is dropped.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Version};
use http_body::Frame;
use tokio::time::Instant;

use super::format;
use super::outcome::Outcome;
use super::request_record::RequestRecord;
use super::worker_queue::WorkerQueue;
use crate::per_worker::CachePadded;
use crate::proxy::error::Reason;
use crate::upstream::BodyError;

/// One request under way. Its line is written when it is dropped: with the response's body, with the tunnel that the
/// request became, or with the request itself where its client did not wait.
#[derive(Debug)]
pub(in crate::proxy) struct LogEntry {
    queue: Arc<CachePadded<WorkerQueue>>,
    began: Instant,
    request: RequestRecord,
    outcome: Outcome,
    is_silent: bool,
}

impl LogEntry {
    pub(super) fn new<B>(
        queue: Arc<CachePadded<WorkerQueue>>,
        request: &Request<B>,
        client: SocketAddr,
    ) -> Self {
        let record = RequestRecord::new(request, client, queue.has_query());
        Self::of(queue, record)
    }

    /// Begins the entry of a request that could not be read.
    pub(super) fn unreadable(
        queue: Arc<CachePadded<WorkerQueue>>,
        client: SocketAddr,
        version: Version,
    ) -> Self {
        Self::of(queue, RequestRecord::unreadable(client, version))
    }

    fn of(queue: Arc<CachePadded<WorkerQueue>>, request: RequestRecord) -> Self {
        Self {
            began: Instant::now(),
            request,
            outcome: Outcome::default(),
            is_silent: false,
            queue,
        }
    }

    /// Suppresses the line.
    pub(in crate::proxy) fn silence(&mut self) {
        self.is_silent = true;
    }

    /// Records the id of the request.
    pub(in crate::proxy) fn identified(&mut self, id: HeaderValue) {
        self.outcome.request_id = Some(id);
    }

    /// Records the backend that received the request.
    pub(in crate::proxy) fn sent_to(&mut self, upstream: impl ToString) {
        self.outcome.upstream = Some(upstream.to_string());
    }

    /// Records why the proxy answers the request itself.
    pub(in crate::proxy) fn refused(&mut self, reason: Reason) {
        self.outcome.reason = Some(reason.word());
    }

    /// Records that the head of the response goes to the client.
    pub(in crate::proxy) fn answered(&mut self, status: StatusCode, has_body: bool) {
        self.outcome.status = Some(status);
        self.outcome.first_byte = Some(self.began.elapsed());
        self.outcome.is_whole = !has_body || self.request.is_head;
    }

    /// Records a frame of the response's body, and whether it was the last one.
    pub(in crate::proxy) fn passed(
        &mut self,
        frame: Option<&Result<Frame<Bytes>, BodyError>>,
        is_end: bool,
    ) {
        match frame {
            Some(Ok(frame)) => {
                self.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
                self.outcome.is_whole |= is_end;
            }
            // Not the client that has left.
            Some(Err(error)) => {
                self.refused(Reason::of_body(error));
                self.outcome.is_whole = true;
            }
            None => self.outcome.is_whole = true,
        }
    }

    /// Counts bytes that were sent to the client.
    pub(in crate::proxy) fn sent(&mut self, bytes: u64) {
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
