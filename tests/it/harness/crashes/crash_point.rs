//! A point at which a process stops for ever among the changes that it makes. It leaves behind what a process leaves
//! behind that is killed there.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::harness::deadline::soon;

/// Whether the last change is still made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The change is not made.
    Before,
    /// The change is made, but its caller never learns of it.
    After,
}

/// Counts the changes of one process and stops it at one of them.
#[derive(Debug)]
pub(crate) struct CrashPoint {
    changes: AtomicUsize,
    last: (usize, Crash),
    stopped: watch::Sender<Option<String>>,
    made: watch::Sender<()>,
}

impl CrashPoint {
    /// Stops at the `n`-th change, counted from 0.
    pub(crate) fn at(n: usize, stop: Crash) -> Arc<Self> {
        Arc::new(Self {
            changes: AtomicUsize::new(0),
            last: (n, stop),
            stopped: watch::Sender::new(None),
            made: watch::Sender::default(),
        })
    }

    /// Never stops: all changes are made.
    pub(crate) fn never() -> Arc<Self> {
        Self::at(usize::MAX, Crash::Before)
    }

    /// Waits until the process stops; returns the name of the change at which it stopped.
    pub(crate) async fn stopped(&self) -> String {
        let mut stopped = self.stopped.subscribe();
        let change = stopped.wait_for(Option::is_some).await.unwrap();
        change.clone().unwrap()
    }

    /// Waits until a change makes `is_so` true, unless it is true already.
    pub(crate) async fn until(&self, is_so: impl Fn() -> bool) {
        let mut made = self.made.subscribe();
        soon(made.wait_for(|()| is_so())).await.unwrap();
    }

    /// Makes a change, or stops for ever.
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
