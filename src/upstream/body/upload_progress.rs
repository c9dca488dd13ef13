//! Progress of an upload: when it last moved, and how it failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Progress of one upload, and which side is expected to move next. Clones share the state.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct UploadProgress {
    start: Instant,
    last: Arc<AtomicU64>,
}

/// The upload waits for its client.
const PAUSED: u64 = u64::MAX;
/// The response is under way beside the upload, which may then pause without limit: both ends of such a stream send when
/// they have something to send.
const ANSWERED: u64 = u64::MAX - 1;
/// The upload's client broke off, paused for too long, or sent too much.
const BROKEN: u64 = u64::MAX - 2;
const STALLED: u64 = u64::MAX - 3;
const TOO_LARGE: u64 = u64::MAX - 4;

/// Reason why a client's upload failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum UploadFailure {
    Broken,
    Stalled,
    TooLarge,
}

impl UploadProgress {
    pub(in crate::upstream) fn new() -> Self {
        Self {
            start: Instant::now(),
            last: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Records that a frame arrived.
    pub(super) fn moved(&self) {
        if self.is_answered() {
            return;
        }
        let millis = self.start.elapsed().as_millis();
        self.last
            .store(u64::try_from(millis).unwrap_or(0), Ordering::Relaxed);
    }

    /// Records that the upload waits for its client.
    pub(in crate::upstream) fn pause(&self) {
        self.last.store(PAUSED, Ordering::Relaxed);
    }

    pub(in crate::upstream) fn fail(&self, failure: UploadFailure) {
        let state = match failure {
            UploadFailure::Broken => BROKEN,
            UploadFailure::Stalled => STALLED,
            UploadFailure::TooLarge => TOO_LARGE,
        };
        self.last.store(state, Ordering::Relaxed);
    }

    /// The client's failure, if there is one.
    pub(in crate::upstream) fn failure(&self) -> Option<UploadFailure> {
        match self.last.load(Ordering::Relaxed) {
            BROKEN => Some(UploadFailure::Broken),
            STALLED => Some(UploadFailure::Stalled),
            TOO_LARGE => Some(UploadFailure::TooLarge),
            _ => None,
        }
    }

    /// Records that the response has begun and that both directions are open until they end.
    pub(in crate::upstream) fn answered(self) -> ResponseUnderWay {
        if self.failure().is_none() {
            self.last.store(ANSWERED, Ordering::Relaxed);
        }
        ResponseUnderWay(self)
    }

    pub(super) fn is_answered(&self) -> bool {
        self.last.load(Ordering::Relaxed) == ANSWERED
    }

    /// Time since which the backend is expected to move.
    pub(in crate::upstream) fn last(&self) -> Instant {
        match self.last.load(Ordering::Relaxed) {
            PAUSED | ANSWERED | BROKEN | STALLED | TOO_LARGE => Instant::now(),
            millis => self.start + Duration::from_millis(millis),
        }
    }
}

/// A response that is under way beside its upload. When it is dropped, the upload has its time-out again.
#[derive(Debug)]
pub(in crate::upstream) struct ResponseUnderWay(UploadProgress);

impl Drop for ResponseUnderWay {
    fn drop(&mut self) {
        if self.0.is_answered() {
            self.0.pause();
        }
    }
}
