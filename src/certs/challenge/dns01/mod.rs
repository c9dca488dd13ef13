//! dns-01 (RFC 8555 section 8.4): sets a TXT record through a DNS provider, waits until the name servers of the zone show
//! it, and removes it in every case at the end of the attempt.
//!
//! ```text
//! solver -> { provider <- exec | rfc2136 | cloudflare | journaled_provider -> journal } + propagation -> resolver
//! ```

mod cloudflare;
mod error;
mod exec;
mod journal;
mod journaled_provider;
mod options;
mod persist;
mod propagation;
mod provider;
mod rfc2136;
mod solver;

pub use cloudflare::Cloudflare;
pub use error::{CloudflareFault, Dns01Error, HookFault, UpdateFault};
pub use exec::ExecHook;
pub(crate) use journal::DnsJournal;
pub use options::{
    CloudflareOptions, DnsMethod, DnsOptions, Rfc2136Options, ServerAddress, TsigAlgorithm,
};
pub use persist::PersistSolver;
pub use propagation::Propagation;
pub use provider::{DnsProvider, TxtRecord};
pub use rfc2136::Rfc2136;
pub use solver::Dns01Solver;
