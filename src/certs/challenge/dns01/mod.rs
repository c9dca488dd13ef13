//! dns-01 (RFC 8555 section 8.4): sets a TXT record through a DNS provider, waits until the name servers of the zone show
//! it, and removes it in every case at the end of the attempt.
//!
//! ```text
//! solver -> { provider <- exec | rfc2136 | cloudflare | counted_provider | journaled_provider -> record_journal } + propagation -> resolver
//! ```

mod cloudflare;
mod counted_provider;
mod error;
mod exec;
mod journaled_provider;
mod options;
mod persist_solver;
mod propagation;
mod provider;
mod record_journal;
mod record_locks;
mod rfc2136;
mod solver;

pub use cloudflare::Cloudflare;
pub use counted_provider::{CountedProvider, DnsUpdates};
pub use error::{CloudflareFault, Dns01Error, HookFault, UpdateFault};
pub use exec::ExecHook;
pub use options::{
    CloudflareOptions, DnsMethod, DnsOptions, PropagationOptions, Rfc2136Options, ServerAddress,
    TsigAlgorithm,
};
pub use persist_solver::PersistSolver;
pub use propagation::Propagation;
pub use provider::{DnsProvider, TxtRecord};
pub(crate) use record_journal::DnsJournal;
pub use record_locks::RecordLocks;
pub use rfc2136::Rfc2136;
pub use solver::Dns01Solver;
