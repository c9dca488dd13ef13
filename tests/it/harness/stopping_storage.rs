//! A storage that stands still for ever at one of its changes, and so leaves what a process leaves that is killed there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};
use proxy::storage::{Error, Key, Listing, Lock, PageRequest, Storage};
use tokio::sync::watch;

/// Where a storage stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The change is not made.
    Before,
    /// The change is made, and nobody hears of it.
    After,
}

/// Another storage, of which nothing is changed from some change on.
#[derive(Debug)]
pub(crate) struct StoppingStorage {
    inner: Arc<dyn Storage>,
    changes: AtomicUsize,
    last: (usize, Stop),
    stopped: watch::Sender<Option<String>>,
}

impl StoppingStorage {
    /// Stops at the `n`-th change, counted from 0.
    pub(crate) fn new(inner: Arc<dyn Storage>, n: usize, stop: Stop) -> Self {
        Self {
            inner,
            changes: AtomicUsize::new(0),
            last: (n, stop),
            stopped: watch::Sender::new(None),
        }
    }

    /// Waits until it stands still; returns the key of the change.
    pub(crate) async fn stopped(&self) -> String {
        let mut stopped = self.stopped.subscribe();
        let key = stopped.wait_for(Option::is_some).await.unwrap();
        key.clone().unwrap()
    }

    async fn change(&self, key: &Key, work: BoxFuture<'_, Result<(), Error>>) -> Result<(), Error> {
        let (last, stop) = self.last;
        let n = self.changes.fetch_add(1, Ordering::SeqCst);
        if n < last {
            return work.await;
        }
        if n == last {
            if stop == Stop::After {
                work.await?;
            }
            self.stopped.send_replace(Some(key.as_str().to_owned()));
        }
        pending().await
    }
}

impl Storage for StoppingStorage {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        self.inner.load(key)
    }

    fn store<'a>(&'a self, key: &'a Key, value: &'a [u8]) -> BoxFuture<'a, Result<(), Error>> {
        // The storage below may write before it is awaited.
        let work = async { self.inner.store(key, value).await }.boxed();
        self.change(key, work).boxed()
    }

    fn delete<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<(), Error>> {
        let work = async { self.inner.delete(key).await }.boxed();
        self.change(key, work).boxed()
    }

    fn lock<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lock, Error>> {
        self.inner.lock(key)
    }

    fn page<'a>(&'a self, request: PageRequest<'a>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        self.inner.page(request)
    }

    fn list(&self, folder: &Key) -> Listing {
        self.inner.list(folder)
    }

    fn location(&self, key: &Key) -> String {
        self.inner.location(key)
    }
}
