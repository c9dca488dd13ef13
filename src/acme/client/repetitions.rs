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

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tokio::time::Instant;

    use super::*;
    use crate::acme::error::Step;
    use crate::acme::resource::{Excerpt, Problem};

    fn status(status: StatusCode, retry_after: Option<Duration>) -> Error {
        Error::Status {
            step: Step::NewOrder,
            status,
            excerpt: Excerpt::of(b"<h1>Too many</h1>"),
            retry_after,
        }
    }

    fn rate_limited(status: StatusCode, retry_after: Option<Duration>) -> Error {
        let problem = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"slow down"}"#;
        Error::Refused {
            step: Step::NewOrder,
            status,
            problem: Problem::parse(problem.as_bytes()).unwrap(),
            retry_after,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_without_a_time_is_waited_for_one_to_two_seconds_twice_and_then_fails() {
        let limited = [
            status(StatusCode::TOO_MANY_REQUESTS, None),
            rate_limited(StatusCode::TOO_MANY_REQUESTS, None),
            rate_limited(StatusCode::FORBIDDEN, None),
        ];
        for error in limited {
            let mut waits = Vec::new();
            for repeat in [Repeat::Safe, Repeat::Never].repeat(50) {
                let mut repetitions = Repetitions::new(repeat);
                for _ in 0..2 {
                    assert!(repetitions.may_repeat(&error), "{error}");
                    let start = Instant::now();
                    repetitions.wait().await;
                    waits.push(start.elapsed());
                }
                assert!(!repetitions.may_repeat(&error), "{error}");
            }
            // Timers have a resolution of a millisecond.
            let bounds = Duration::from_secs(1)..=Duration::from_millis(2001);
            assert!(waits.iter().all(|wait| bounds.contains(wait)), "{waits:?}");
            let (shortest, longest) = (waits.iter().min(), waits.iter().max());
            let spread = *longest.unwrap() - *shortest.unwrap();
            assert!(spread > Duration::from_millis(500), "{waits:?}");
        }
    }

    #[test]
    fn a_limit_with_a_time_is_not_waited_for_here() {
        let hour = Some(Duration::from_secs(3600));
        for error in [
            status(StatusCode::TOO_MANY_REQUESTS, hour),
            rate_limited(StatusCode::FORBIDDEN, hour),
        ] {
            assert!(
                !Repetitions::new(Repeat::Safe).may_repeat(&error),
                "{error}"
            );
        }
    }
}
