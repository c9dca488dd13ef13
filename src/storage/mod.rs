//! Durable records: certificates, accounts, attempts. Knows bytes and keys, not what they mean.

mod contract;
mod error;
mod file;
mod key;
mod page;

pub use contract::{Listing, Lock, Storage};
pub use error::Error;
pub use file::FileStorage;
pub use key::Key;
pub use page::PageRequest;
