//! The preflight check of a name before its order: where its DNS points, whether this machine answers there, and whether
//! CAA allows the CA.

mod caa;
mod machine_addresses;
mod options;
mod preflight;
mod preflight_verdict;
mod probe;
mod reachability;
mod reason;

pub use options::{PreflightOptions, Trial};
pub use preflight::{Clearance, Preflight};
pub use reachability::Reachability;
pub use reason::{CaaReason, Reason, Record};
