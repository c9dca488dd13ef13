//! The preflight check of a name before its order: where its DNS points, whether this machine answers there, and whether
//! CAA allows the CA. For people, the same checks are judged one by one, and port 443 is checked too.

mod caa;
mod machine_addresses;
mod options;
mod preflight;
mod preflight_verdict;
mod probe;
mod reachability;
mod reason;
mod tls_reach;
mod tls_reason;

pub use options::{PreflightOptions, Trial};
pub use preflight::{Clearance, Examination, Preflight};
pub use reachability::Reachability;
pub use reason::{CaaReason, Reason, Record};
pub use tls_reach::{TlsExamination, TlsReach};
pub use tls_reason::TlsReason;
