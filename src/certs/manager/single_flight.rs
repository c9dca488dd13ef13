//! One look-up or order that is under way, and those who wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::certs::certificate::Certificate;
use crate::certs::status::Refusal;

/// How many handshakes may wait for one name.
pub(super) const MAX_WAITING: usize = 1024;

/// How a look-up or an order ends.
pub(super) type Outcome = Result<Arc<Certificate>, Refusal>;

/// How far a flight has come.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// Nothing is known yet.
    Looking,
    /// What is stored can be served while its successor is ordered.
    Stored(Arc<Certificate>),
    /// It is over.
    Landed(Outcome),
}

/// One look-up or order that is under way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    progress: watch::Receiver<Progress>,
    waiting: Arc<AtomicUsize>,
}

impl Flight {
    /// A flight that tells how far it has come through what is returned beside it.
    pub(crate) fn begin() -> (Self, watch::Sender<Progress>) {
        let (sender, progress) = watch::channel(Progress::Looking);
        let flight = Self {
            progress,
            waiting: Arc::default(),
        };
        (flight, sender)
    }

    /// Waits for a certificate that can be served, or for the reason why there is none.
    pub(crate) async fn certificate(mut self) -> Outcome {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::TooManyWaiting);
        }
        let waiting = Arc::clone(&self.waiting);
        let _seat = Seat(&waiting);
        let is_known = |progress: &Progress| !matches!(progress, Progress::Looking);
        match self.progress.wait_for(is_known).await.as_deref() {
            Ok(Progress::Stored(certificate)) => Ok(Arc::clone(certificate)),
            Ok(Progress::Landed(outcome)) => outcome.clone(),
            Ok(Progress::Looking) | Err(_) => Err(Refusal::Stopping),
        }
    }

    /// Waits until the flight is over, however it ends.
    pub(super) async fn landed(mut self) -> Outcome {
        let is_over = |progress: &Progress| matches!(progress, Progress::Landed(_));
        match self.progress.wait_for(is_over).await.as_deref() {
            Ok(Progress::Landed(outcome)) => outcome.clone(),
            _ => Err(Refusal::Stopping),
        }
    }
}

struct Seat<'a>(&'a AtomicUsize);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
