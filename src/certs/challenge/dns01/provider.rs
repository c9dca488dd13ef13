//! The seam between the challenge and whoever can change the zone.

use std::fmt;

use futures_util::future::BoxFuture;

use super::error::Dns01Error;

/// One value of one name, which may have others beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TxtRecord {
    /// The name, without the last dot.
    pub name: String,
    /// The text, short enough for one string.
    pub value: String,
}

/// Changes a zone. Both calls leave every other value of the name alone, and may be repeated.
pub trait DnsProvider: fmt::Debug + Send + Sync {
    /// Adds the record. When the future is done the zone has it; its name servers need not.
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>>;

    /// Removes the record, which need not be there.
    fn cleanup<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<(), Dns01Error>>;
}
