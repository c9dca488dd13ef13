//! Request body that has been read to its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::memory::HeldMemory;
use crate::upstream::error::BodyError;

/// Request body that has been read to its end.
#[derive(Debug)]
pub struct BufferedBody {
    data: Bytes,
    _held: Option<HeldMemory>,
}

impl BufferedBody {
    /// A body that holds its memory.
    pub(super) fn new(data: Bytes, held: Option<HeldMemory>) -> Self {
        let _held = held;
        Self { data, _held }
    }

    /// `true` if the body has no bytes.
    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
}

impl Body for BufferedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let data = std::mem::take(&mut self.data);
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
}
