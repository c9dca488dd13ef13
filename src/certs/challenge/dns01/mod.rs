//! dns-01 (RFC 8555 section 8.4): a TXT record is set by one of several means, is waited for at the zone's own name
//! servers, and is removed however the attempt ends.
//!
//! ```text
//! solver -> { provider <- exec | rfc2136 | cloudflare | remembered -> journal } + propagation -> resolver
//! ```

mod cloudflare;
mod error;
mod exec;
mod journal;
mod options;
mod persist;
mod propagation;
mod provider;
mod remembered;
mod rfc2136;
mod solver;

pub use cloudflare::Cloudflare;
pub use error::{CloudflareFault, Dns01Error, HookFault, UpdateFault};
pub use exec::ExecHook;
pub(crate) use journal::DnsJournal;
pub use options::{
    CloudflareOptions, DnsMeans, DnsOptions, Rfc2136Options, ServerAddress, TsigAlgorithm,
};
pub use persist::PersistSolver;
pub use propagation::Propagation;
pub use provider::{DnsProvider, TxtRecord};
pub use rfc2136::Rfc2136;
pub use solver::Dns01Solver;
