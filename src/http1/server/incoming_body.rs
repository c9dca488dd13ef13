//! Body of a request, as its connection hands it over. Whoever reads it may be in another task than the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use crate::http1::error::Error;

/// Body of a request. Its connection reads on only when the body is polled.
#[derive(Debug, Default)]
pub struct IncomingBody(Option<Arc<Mutex<Handover>>>);

/// Place where a connection hands the parts of a body over.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Part that is not read yet.
    part: Option<Result<Frame<Bytes>, Error>>,
    /// `true` if nothing follows the part.
    is_over: bool,
    /// Number of bytes that are not read yet, if it is known.
    left: Option<u64>,
    /// `true` if the reader waits for a part.
    is_wanted: bool,
    /// `true` if nobody reads the body any more.
    is_dropped: bool,
    reader: Option<Waker>,
    connection: Option<Waker>,
}

/// Wish of the reader of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Part,
    /// The reader is gone.
    Dropped,
}

impl IncomingBody {
    /// A body of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self(None)
    }

    /// A body of `left` bytes, if that is known, and the place where its parts are handed over.
    pub(super) fn new(left: Option<u64>, connection: &Waker) -> (Self, Arc<Mutex<Handover>>) {
        let handover = Arc::new(Mutex::new(Handover {
            left,
            connection: Some(connection.clone()),
            ..Handover::default()
        }));
        (Self(Some(Arc::clone(&handover))), handover)
    }

    /// A body that fails.
    pub(super) fn failed(error: Error) -> Self {
        Self(Some(Arc::new(Mutex::new(Handover {
            part: Some(Err(error)),
            is_over: true,
            ..Handover::default()
        }))))
    }
}

impl Handover {
    /// Returns what the reader wants, and remembers that the task of `connection` is to be woken when that changes.
    pub(super) fn wish(&mut self, connection: &Waker) -> Wish {
        match &mut self.connection {
            Some(waker) if waker.will_wake(connection) => {}
            waker => *waker = Some(connection.clone()),
        }
        if self.is_dropped {
            Wish::Dropped
        } else if self.is_wanted {
            Wish::Part
        } else {
            Wish::Nothing
        }
    }

    /// Hands a part over, and wakes the reader unless its task is that of `connection`. Returns `true` if it is, so that the
    /// caller must poll the reader again.
    pub(super) fn put(
        &mut self,
        part: Option<Result<Frame<Bytes>, Error>>,
        is_over: bool,
        connection: &Waker,
    ) -> bool {
        self.part = part;
        self.is_over = is_over;
        self.is_wanted = false;
        match self.reader.take() {
            Some(reader) if reader.will_wake(connection) => true,
            Some(reader) => {
                reader.wake();
                false
            }
            None => false,
        }
    }

    /// Takes the part that was handed over.
    fn take(&mut self) -> Option<Result<Frame<Bytes>, Error>> {
        let part = self.part.take()?;
        let length = part.as_ref().ok().and_then(Frame::data_ref);
        if let (Some(left), Some(data)) = (&mut self.left, length) {
            *left = left.saturating_sub(data.len() as u64);
        }
        Some(part)
    }

    fn has_ended(&self) -> bool {
        self.is_over && self.part.is_none()
    }
}

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(handover) = &self.0 else {
            return Poll::Ready(None);
        };
        let mut handover = handover.lock();
        let part = handover.take();
        if part.is_some() || handover.is_over {
            return Poll::Ready(part);
        }
        match &mut handover.reader {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        handover.is_wanted = true;
        // In its own task, the connection looks at the wish after each poll of the reader.
        if let Some(connection) = &handover.connection
            && !connection.will_wake(cx.waker())
        {
            connection.wake_by_ref();
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        let handover = self.0.as_ref();
        handover.is_none_or(|handover| handover.lock().has_ended())
    }

    fn size_hint(&self) -> SizeHint {
        let Some(handover) = &self.0 else {
            return SizeHint::with_exact(0);
        };
        let handover = handover.lock();
        match handover.left {
            _ if handover.has_ended() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        let Some(handover) = self.0.take() else {
            return;
        };
        let mut handover = handover.lock();
        if !handover.is_over {
            handover.is_dropped = true;
            if let Some(connection) = handover.connection.take() {
                connection.wake();
            }
        }
    }
}
