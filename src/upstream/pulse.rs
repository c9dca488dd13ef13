//! When an upload last moved, and how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When an upload last moved, and whose turn it is.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    start: Instant,
    beat: Arc<AtomicU64>,
}

/// The upload waits for its client.
const PAUSED: u64 = u64::MAX;
/// The response is under way beside the upload, which may then pause for as long as it likes: both ends of such a stream
/// speak when they have something to say.
const ANSWERED: u64 = u64::MAX - 1;
/// The upload's client broke off, paused for too long, or sent too much.
const BROKEN: u64 = u64::MAX - 2;
const STALLED: u64 = u64::MAX - 3;
const TOO_LARGE: u64 = u64::MAX - 4;

/// How a client fails its upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadFailure {
    Broken,
    Stalled,
    TooLarge,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            beat: Arc::new(AtomicU64::new(0)),
        }
    }

    pub(super) fn beat(&self) {
        if self.is_answered() {
            return;
        }
        let millis = self.start.elapsed().as_millis();
        self.beat
            .store(u64::try_from(millis).unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn pause(&self) {
        self.beat.store(PAUSED, Ordering::Relaxed);
    }

    pub(super) fn fail(&self, failure: UploadFailure) {
        let state = match failure {
            UploadFailure::Broken => BROKEN,
            UploadFailure::Stalled => STALLED,
            UploadFailure::TooLarge => TOO_LARGE,
        };
        self.beat.store(state, Ordering::Relaxed);
    }

    /// How the client has failed its upload, if it has.
    pub(super) fn failure(&self) -> Option<UploadFailure> {
        match self.beat.load(Ordering::Relaxed) {
            BROKEN => Some(UploadFailure::Broken),
            STALLED => Some(UploadFailure::Stalled),
            TOO_LARGE => Some(UploadFailure::TooLarge),
            _ => None,
        }
    }

    /// Notes that the response has begun and that both directions are open until they end.
    pub(super) fn answered(self) -> Answered {
        if self.failure().is_none() {
            self.beat.store(ANSWERED, Ordering::Relaxed);
        }
        Answered(self)
    }

    pub(super) fn is_answered(&self) -> bool {
        self.beat.load(Ordering::Relaxed) == ANSWERED
    }

    /// Since when the backend is the one to move.
    pub(super) fn last(&self) -> Instant {
        match self.beat.load(Ordering::Relaxed) {
            PAUSED | ANSWERED | BROKEN | STALLED | TOO_LARGE => Instant::now(),
            millis => self.start + Duration::from_millis(millis),
        }
    }
}

/// A response that is under way beside its upload. When it is dropped, the upload is held to its pace again.
#[derive(Debug)]
pub(super) struct Answered(Pulse);

impl Drop for Answered {
    fn drop(&mut self) {
        if self.0.is_answered() {
            self.0.pause();
        }
    }
}
