//! Certificates of one configuration: issuers, policies, dns-01 solvers, certificate files and imports.

mod dns01;
mod file_pairs;
mod import_command;
mod issuance_setup;
mod policies;

pub use import_command::{Imported, import};

pub(super) use file_pairs::{FilePairs, ServedPairs};
pub(super) use issuance_setup::{FormerIssuance, IssuanceSetup, stored_issuers};
pub(super) use policies::policies;
