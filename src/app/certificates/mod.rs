//! Certificates of one configuration: issuers, policies, dns-01 solvers, certificate files and imports.

mod dns01;
mod file_pairs;
mod import;
mod policies;
mod signing;

pub use import::{Imported, import};

pub(super) use file_pairs::{FilePairs, ServedPairs};
pub(super) use policies::policies;
pub(super) use signing::{FormerSigning, Signing, stored_issuers};
