//! Time-out for the head of a response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::upstream::body::UploadProgress;

/// Ready when the backend has made no progress for `limit`. The clock starts again with each frame of the upload, and
/// stands still while the upload waits for the client.
pub(super) fn poll_overdue(
    mut timer: Pin<&mut Sleep>,
    progress: Option<&UploadProgress>,
    limit: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        ready!(timer.as_mut().poll(cx));
        let deadline = progress.map(|progress| progress.last() + limit);
        match deadline.filter(|deadline| *deadline > Instant::now()) {
            Some(deadline) => timer.as_mut().reset(deadline),
            None => return Poll::Ready(()),
        }
    }
}
