//! The interface between the challenge and a service that changes the zone.

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::error::Dns01Error;

/// One TXT value of a name, which may have other values too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TxtRecord {
    /// Name of the record, without the final dot.
    pub name: String,
    /// Text, short enough for one string of the record (255 bytes).
    pub value: String,
}

/// Service that changes a zone. Both methods leave the other values of the name unchanged and may be repeated.
pub trait DnsProvider: fmt::Debug + Send + Sync {
    /// Checks what can fail without a record, before an order is placed: that the service can be reached, and that it has
    /// the zone of `name`.
    fn check<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<(), Dns01Error>> {
        async { Ok(()) }.boxed()
    }

    /// Whether the service may keep only one value of a name, so that records of one name must be set one after the other.
    fn may_replace_values(&self) -> bool {
        false
    }

    /// Adds the record. Once the future completes, the zone has the record, but some of its name servers may not show it
    /// yet.
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>>;

    /// Removes the record. A missing record is not an error.
    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>>;
}
