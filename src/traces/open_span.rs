//! The span of an exchange in progress.

use std::mem;
use std::sync::Arc;

use http::StatusCode;
use tokio::time::Instant;

use super::id::SpanId;
use super::span::{Attributes, Span};
use super::span_queue::SpanQueue;
use crate::per_worker::CachePadded;

/// The span of an exchange in progress. It ends and is recorded when it is dropped.
#[derive(Debug)]
pub(super) struct OpenSpan {
    span: Span,
    began: Instant,
    has_outcome: bool,
    queue: Arc<CachePadded<SpanQueue>>,
}

impl OpenSpan {
    pub(super) fn new(span: Span, began: Instant, queue: Arc<CachePadded<SpanQueue>>) -> Self {
        Self {
            span,
            began,
            has_outcome: false,
            queue,
        }
    }

    pub(super) fn id(&self) -> SpanId {
        self.span.span_id
    }

    /// Attributes of the span.
    pub(super) fn attributes(&mut self) -> &mut Attributes {
        &mut self.span.attributes
    }

    /// Records the status of the response, whose head has arrived.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.has_outcome = true;
        self.span.attributes.status(status);
    }

    /// Records that there is no response, with the word for the reason.
    pub(super) fn failed(&mut self, reason: &str) {
        self.has_outcome = true;
        self.span.attributes.failed(reason);
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if !self.has_outcome {
            self.failed("cancelled");
        }
        self.span.duration = self.began.elapsed();
        let attributes = mem::take(&mut self.span.attributes);
        let name = mem::take(&mut self.span.name);
        self.queue.send(Span {
            name,
            attributes,
            ..self.span
        });
    }
}
