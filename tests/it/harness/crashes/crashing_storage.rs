//! A storage that stops at a crash point.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proxy::storage::{Error, Key, Listing, Lock, PageRequest, Storage};

use crate::harness::crashes::crash_point::CrashPoint;

/// Another storage, which is not changed from the crash point on.
#[derive(Debug)]
pub(crate) struct CrashingStorage {
    inner: Arc<dyn Storage>,
    crash_point: Arc<CrashPoint>,
}

impl CrashingStorage {
    pub(crate) fn new(inner: Arc<dyn Storage>, crash_point: Arc<CrashPoint>) -> Self {
        Self { inner, crash_point }
    }
}

impl Storage for CrashingStorage {
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        self.inner.load(key)
    }

    fn store<'a>(&'a self, key: &'a Key, value: &'a [u8]) -> BoxFuture<'a, Result<(), Error>> {
        // The storage below may write before it is awaited.
        let work = async { self.inner.store(key, value).await };
        self.crash_point
            .change(key.as_str().to_owned(), work)
            .boxed()
    }

    fn delete<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<(), Error>> {
        let work = async { self.inner.delete(key).await };
        self.crash_point
            .change(format!("end of {key}"), work)
            .boxed()
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
