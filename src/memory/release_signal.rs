//! Waits for something that clients share, until some of it is given back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Time after which a task that waits looks for what others have given back, who do not tell it.
pub const RECHECK: Duration = Duration::from_millis(250);

/// Tells tasks that wait that they may look again. Telling costs one read of memory while none waits.
#[derive(Debug, Default)]
pub struct ReleaseSignal {
    waiting: AtomicUsize,
    released: Notify,
}

impl ReleaseSignal {
    /// Wakes one of the tasks that wait.
    pub fn tell(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.released.notify_one();
        }
    }

    /// Waits until it is told, or for a short time. Cancel safe.
    pub async fn wait(&self) {
        let _waiting = Waiting::new(&self.waiting);
        let _ = timeout(RECHECK, self.released.notified()).await;
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
