//! Durable records of certificates, accounts and attempts. Knows bytes and keys, but not their meaning.

mod data_directory;
mod error;
mod file;
mod key;
mod memory;
mod owner;
mod page;
mod storage;

pub use error::Error;
pub use file::FileStorage;
pub use key::Key;
pub use memory::MemoryStorage;
pub use owner::Owner;
pub use page::PageRequest;
pub use storage::{Listing, Lock, Storage};
