//! The repetitions of one request: after a lost response, and after a reached limit for which the CA tells no time.

use std::time::Duration;

use tokio::time::sleep;

use crate::acme::error::Error;
use crate::backoff::{Polling, spread};

/// Most repetitions of a request with a lost response, if repetition is safe.
const LOST_RETRIES: usize = 2;

/// Most repetitions of a request that the CA refused with a reached limit but without Retry-After.
const LIMITED_RETRIES: usize = 2;

/// The delay before such a repetition, on average: one to two seconds.
const LIMITED_DELAY: Duration = Duration::from_millis(1500);

/// Whether a request is repeated when its response is lost, and the CA may or may not have processed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::acme) enum Repeat {
    /// Sign the request again and repeat it: it is idempotent.
    Safe,
    /// Return the error: the caller reads the resource to see its state.
    Never,
}

/// Counts the repetitions of one request: of lost ones, and of those that the CA asked to send later.
pub(super) struct Repetitions {
    repeat: Repeat,
    lost_left: usize,
    limited_left: usize,
    lost_delay: Polling,
    next: Duration,
}

impl Repetitions {
    pub(super) fn new(repeat: Repeat) -> Self {
        Self {
            repeat,
            lost_left: LOST_RETRIES,
            limited_left: LIMITED_RETRIES,
            lost_delay: Polling::new(Duration::from_millis(250), Duration::from_secs(1)),
            next: Duration::ZERO,
        }
    }

    /// Decides whether to repeat the request after this error.
    pub(super) fn may_repeat(&mut self, error: &Error) -> bool {
        let is_limited = error.is_limited_without_time();
        let left = if is_limited {
            &mut self.limited_left
        } else {
            &mut self.lost_left
        };
        if *left == 0 || !(is_limited || is_safe(self.repeat, error)) {
            return false;
        }
        *left -= 1;
        self.next = if is_limited {
            spread(LIMITED_DELAY, 1.0 / 3.0)
        } else {
            self.lost_delay.next(None)
        };
        true
    }

    pub(super) async fn wait(&self) {
        sleep(self.next).await;
    }
}

/// `true` if a lost request can be repeated: nothing was sent, or it is idempotent. It is not repeated if the CA has sent a
/// Retry-After, or if it has used all of its time.
fn is_safe(repeat: Repeat, error: &Error) -> bool {
    match error {
        Error::Connect { .. } => true,
        Error::Lost { .. } => repeat == Repeat::Safe,
        error => {
            repeat == Repeat::Safe
                && error
                    .status()
                    .is_some_and(|status| status.is_server_error())
                && error.retry_after().is_none()
        }
    }
}
