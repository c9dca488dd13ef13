//! Progress of an upload: the time of the last frame, and the failure if there was one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Progress of one upload, and the side that has to act next. Clones share the state.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct UploadProgress {
    start: Instant,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Milliseconds from the start to the last frame, or one of the states below.
    last: AtomicU64,
}

/// The upload waits for the client.
const PAUSED: u64 = u64::MAX;
/// The response has begun while the upload still runs. The upload may now pause without limit: on a bidirectional
/// stream, each side sends whenever it has something to send.
const ANSWERED: u64 = u64::MAX - 1;
/// The upload has failed, for the reason of this name in [`UploadFailure`].
const BROKEN: u64 = u64::MAX - 2;
const STALLED: u64 = u64::MAX - 3;
const TOO_LARGE: u64 = u64::MAX - 4;

/// Reason why a client's upload failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum UploadFailure {
    /// The client aborted it.
    Broken,
    /// The client paused for too long.
    Stalled,
    /// The client sent more than the limit.
    TooLarge,
}

impl UploadProgress {
    pub(in crate::upstream) fn new() -> Self {
        Self {
            start: Instant::now(),
            state: Arc::default(),
        }
    }

    /// Records that a frame has arrived.
    pub(super) fn record_frame(&self) {
        if self.is_answered() {
            return;
        }
        let millis = self.start.elapsed().as_millis();
        let last = &self.state.last;
        last.store(u64::try_from(millis).unwrap_or(0), Ordering::Relaxed);
    }

    /// Records that the upload waits for the client.
    pub(super) fn pause(&self) {
        self.state.last.store(PAUSED, Ordering::Relaxed);
    }

    pub(super) fn fail(&self, failure: UploadFailure) {
        let state = match failure {
            UploadFailure::Broken => BROKEN,
            UploadFailure::Stalled => STALLED,
            UploadFailure::TooLarge => TOO_LARGE,
        };
        self.state.last.store(state, Ordering::Relaxed);
    }

    /// Failure of the upload, if the client caused one.
    pub(in crate::upstream) fn failure(&self) -> Option<UploadFailure> {
        match self.state.last.load(Ordering::Relaxed) {
            BROKEN => Some(UploadFailure::Broken),
            STALLED => Some(UploadFailure::Stalled),
            TOO_LARGE => Some(UploadFailure::TooLarge),
            _ => None,
        }
    }

    /// Records that the response has begun, until the returned guard is dropped.
    pub(in crate::upstream) fn answered(self) -> ResponseUnderWay {
        if self.failure().is_none() {
            self.state.last.store(ANSWERED, Ordering::Relaxed);
        }
        ResponseUnderWay(self)
    }

    pub(super) fn is_answered(&self) -> bool {
        self.state.last.load(Ordering::Relaxed) == ANSWERED
    }

    /// Time since when the backend has to act; now if it is the client that has to act.
    pub(in crate::upstream) fn last(&self) -> Instant {
        match self.state.last.load(Ordering::Relaxed) {
            PAUSED | ANSWERED | BROKEN | STALLED | TOO_LARGE => Instant::now(),
            millis => self.start + Duration::from_millis(millis),
        }
    }
}

/// Held while a response and its upload run at the same time. When it is dropped, the time-out of the upload applies
/// again.
#[derive(Debug)]
pub(in crate::upstream) struct ResponseUnderWay(UploadProgress);

impl Drop for ResponseUnderWay {
    fn drop(&mut self) {
        if self.0.is_answered() {
            self.0.pause();
        }
    }
}
