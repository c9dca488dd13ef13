//! What every storage promises.

use std::any::Any;
use std::fmt;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::{Error, Key, PageRequest};

/// Durable records by key, shared by all who open the same storage.
///
/// A record is replaced whole or not at all: a reader sees the old bytes or the new ones, and a
/// crash at any moment leaves one of the two. Dropping a future abandons the wait, not an operation
/// that has begun.
pub trait Storage: fmt::Debug + Send + Sync {
    /// The bytes of a record, `None` when there is none.
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>>;

    /// Writes a record; it is durable when the future completes.
    fn store<'a>(&'a self, key: &'a Key, value: &'a [u8]) -> BoxFuture<'a, Result<(), Error>>;

    /// Removes a record; removing one that is not there is no error.
    fn delete<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<(), Error>>;

    /// Waits until nobody else, in this process or another one, holds the lock of this name. Read
    /// again what the lock protects once it is held: the last holder may have changed it.
    fn lock<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lock, Error>>;

    /// The segments right below a folder, in the order of their bytes, as many as the request wants.
    /// A folder that is not there is empty. It takes memory for what it returns only.
    fn page<'a>(&'a self, request: PageRequest<'a>) -> BoxFuture<'a, Result<Vec<String>, Error>>;

    /// The keys one level below a folder, records and folders alike, in batches and in no order, read
    /// as they are asked for. What is stored or removed meanwhile may be among them or not.
    fn list(&self, folder: &Key) -> Listing;

    /// Where a record lies, for people.
    fn location(&self, key: &Key) -> String;
}

/// Batches of keys.
pub type Listing = BoxStream<'static, Result<Vec<Key>, Error>>;

/// An exclusive lock, released when dropped or when the process ends.
pub struct Lock {
    _held: Box<dyn Any + Send>,
}

impl Lock {
    /// A lock that is released by dropping `held`.
    pub fn new(held: impl Any + Send) -> Self {
        Self {
            _held: Box::new(held),
        }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}
