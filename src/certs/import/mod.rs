//! Certificates that other programs left behind: found in the formats of each, checked, and stored
//! as if they had been obtained here. Asks no CA for anything.

mod candidate;
mod error;
mod material;
mod pem;
mod pem_folders;
mod scan;
mod store;
mod traefik;

pub use candidate::Candidate;
pub use error::Error;
pub use scan::{Scan, scan};
pub use store::{ImportedName, store};
