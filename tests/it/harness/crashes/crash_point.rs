//! The changes that a process makes, at one of which it stands still for ever: it leaves what a process leaves that is
//! killed there.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::harness::deadline::soon;

/// Where a process crash_point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The change is not made.
    Before,
    /// The change is made, and nobody hears of it.
    After,
}

/// The changes of one process, whatever they are made to.
#[derive(Debug)]
pub(crate) struct CrashPoint {
    changes: AtomicUsize,
    last: (usize, Crash),
    stopped: watch::Sender<Option<String>>,
    made: watch::Sender<()>,
}

impl CrashPoint {
    /// Nothing is changed from the `n`-th change on, counted from 0.
    pub(crate) fn at(n: usize, stop: Crash) -> Arc<Self> {
        Arc::new(Self {
            changes: AtomicUsize::new(0),
            last: (n, stop),
            stopped: watch::Sender::new(None),
            made: watch::Sender::default(),
        })
    }

    /// All changes are made.
    pub(crate) fn never() -> Arc<Self> {
        Self::at(usize::MAX, Crash::Before)
    }

    /// Waits until it stands still; returns what the change is called.
    pub(crate) async fn stopped(&self) -> String {
        let mut stopped = self.stopped.subscribe();
        let change = stopped.wait_for(Option::is_some).await.unwrap();
        change.clone().unwrap()
    }

    /// Waits until a change makes this true, unless it is so already.
    pub(crate) async fn until(&self, is_so: impl Fn() -> bool) {
        let mut made = self.made.subscribe();
        soon(made.wait_for(|()| is_so())).await.unwrap();
    }

    /// Makes a change, or stands still.
    pub(crate) async fn change<E>(
        &self,
        name: String,
        work: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        let (last, stop) = self.last;
        let n = self.changes.fetch_add(1, Ordering::SeqCst);
        if n < last {
            let outcome = work.await;
            self.made.send_replace(());
            return outcome;
        }
        if n == last {
            if stop == Crash::After {
                work.await?;
            }
            self.stopped.send_replace(Some(name));
        }
        std::future::pending().await
    }
}
