//! The interface to challenge solvers: the protocol knows the key authorization, and a solver presents it where the CA
//! looks.

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::key_authorization::KeyAuthorization;
use crate::acme::error::SolverError;
use crate::acme::resource::{ChallengeType, Identifier};

/// Presents challenges of one type to the CA.
pub trait Solver: Send + Sync {
    /// Returns the type that this solver can solve.
    fn challenge_type(&self) -> ChallengeType;

    /// Does what can fail without a challenge, so that no order is placed in vain. `identifier` may be a wildcard.
    fn prepare<'a>(
        &'a self,
        _identifier: &'a Identifier,
    ) -> BoxFuture<'a, Result<(), SolverError>> {
        async { Ok(()) }.boxed()
    }

    /// Presents the challenge. The CA may look at any moment after the future completes. The challenge is removed when the
    /// result is dropped.
    fn present<'a>(
        &'a self,
        identifier: &'a Identifier,
        token: &'a str,
        key_authorization: &'a KeyAuthorization,
    ) -> BoxFuture<'a, Result<Presented, SolverError>>;
}

/// A presented challenge, which is removed when this is dropped.
pub struct Presented {
    seen: watch::Receiver<bool>,
    take_down: Option<Box<dyn FnOnce() + Send>>,
}

impl Presented {
    /// Takes a signal that becomes `true` once the CA has looked, and the function that removes the challenge.
    pub fn new(seen: watch::Receiver<bool>, take_down: impl FnOnce() + Send + 'static) -> Self {
        Self {
            seen,
            take_down: Some(Box::new(take_down)),
        }
    }

    /// Waits until the CA has looked. Never completes if the solver cannot know that. Cancel safe.
    pub async fn seen(&mut self) {
        if self.seen.wait_for(|seen| *seen).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Presented {
    fn drop(&mut self) {
        if let Some(take_down) = self.take_down.take() {
            take_down();
        }
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_challenge_is_seen_by_the_signal_and_not_by_its_end() {
        let (signal, seen) = watch::channel(false);
        let mut presented = Presented::new(seen, || ());
        let wait = Duration::from_secs(1);
        assert!(timeout(wait, presented.seen()).await.is_err());
        signal.send(true).unwrap();
        assert!(timeout(wait, presented.seen()).await.is_ok());
        let (signal, seen) = watch::channel(false);
        let mut presented = Presented::new(seen, || ());
        drop(signal);
        assert!(timeout(wait, presented.seen()).await.is_err());
    }

    #[test]
    fn a_dropped_challenge_is_removed() {
        let (down, is_down) = watch::channel(false);
        let presented = Presented::new(is_down.clone(), move || down.send(true).unwrap());
        assert!(!*is_down.borrow());
        drop(presented);
        assert!(*is_down.borrow());
    }
}
