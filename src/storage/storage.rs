//! The contract of every storage.

use std::any::Any;
use std::fmt;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::{Error, Key, PageRequest};

/// Durable records by key, shared by all processes that open the same storage.
///
/// A record is replaced whole or not at all: a reader sees the old bytes or the new ones, and a crash at any moment leaves
/// one of the two. Dropping a future does not cancel an operation that has begun.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Reads a record. Returns `None` if there is none.
    fn load<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>>;

    /// Writes a record, which is durable when the future completes.
    fn store<'a>(&'a self, key: &'a Key, value: &'a [u8]) -> BoxFuture<'a, Result<(), Error>>;

    /// Removes a record. Succeeds if there is none.
    fn delete<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<(), Error>>;

    /// Waits for the lock of this name, which one task of all processes can hold. Once it is held, read again what it
    /// protects: the last holder may have changed it.
    fn lock<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Lock, Error>>;

    /// Lists segments directly below a folder, in the order of their bytes, as many as the request asks for. A missing
    /// folder is empty. Needs memory for the result only.
    fn page<'a>(&'a self, request: PageRequest<'a>) -> BoxFuture<'a, Result<Vec<String>, Error>>;

    /// Lists the keys of records and folders one level below a folder, in batches, in no particular order, and lazily.
    /// Changes made meanwhile may or may not show.
    fn list(&self, folder: &Key) -> Listing;

    /// Returns the place of a record, for people.
    fn location(&self, key: &Key) -> String;
}

/// Batches of keys.
pub type Listing = BoxStream<'static, Result<Vec<Key>, Error>>;

/// An exclusive lock, released when it is dropped or when the process ends.
pub struct Lock {
    _held: Box<dyn Any + Send>,
}

impl Lock {
    /// Takes the value whose drop releases the lock.
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
