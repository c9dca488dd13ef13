//! Durable records of certificates, accounts and attempts. Knows bytes and keys, but not their meaning.

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
