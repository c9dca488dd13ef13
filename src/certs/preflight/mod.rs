//! The look at a name before the CA is asked: where its DNS points, whether this machine answers there, and whether CAA
//! lets the CA sign.

mod caa;
mod doubts;
mod inspector;
mod options;
mod probe;
mod reach;
mod reason;
mod surroundings;
mod verdict;

pub use doubts::Doubts;
pub use inspector::{Clearance, Preflight};
pub use options::{PreflightOptions, Trial};
pub use reach::Reach;
pub use reason::{CaaReason, Reason, Record};
