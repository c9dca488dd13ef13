//! ACME challenges: http-01, tls-alpn-01, dns-01 and dns-persist-01, and the choice between them. Knows no orders and no
//! listeners.

mod challenge_records;
mod dns01;
mod http01;
mod solvers;
mod tls_alpn01;

pub use challenge_records::ChallengeRecords;
pub(crate) use dns01::DnsJournal;
pub use dns01::{
    Cloudflare, CloudflareFault, CloudflareOptions, CountedProvider, Dns01Error, Dns01Solver,
    DnsMethod, DnsOptions, DnsProvider, DnsUpdates, ExecHook, HookFault, PersistSolver,
    Propagation, PropagationOptions, RecordLocks, Rfc2136, Rfc2136Options, ServerAddress,
    TsigAlgorithm, TxtRecord, UpdateFault,
};
pub use http01::{Http01Publication, Http01Solver, Http01Tokens};
pub use solvers::{SiteDns, Solvers};
pub use tls_alpn01::{TlsAlpn01Certificates, TlsAlpn01Solver};
