//! The preflight check of a name before its order: where its DNS points, whether this machine answers there, and whether
//! CAA allows the CA.

mod caa;
mod inspector;
mod options;
mod own_addresses;
mod probe;
mod reachability;
mod reason;
mod verdict;

pub use inspector::{Clearance, Preflight};
pub use options::{PreflightOptions, Trial};
pub use reachability::Reachability;
pub use reason::{CaaReason, Reason, Record};
