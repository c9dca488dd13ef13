//! Status and control of a running proxy over a unix socket that only its own user can open, the same operations on storage while
//! no proxy runs, metrics for Prometheus over TCP, and the status page. Knows no configuration, and binds no TCP port itself.

mod certificate_operations;
mod checks;
mod client;
mod configured_names;
mod connection;
mod error;
mod metrics;
mod metrics_server;
mod name_state;
mod named_upstream;
mod page;
mod process_commands;
mod reload_counts;
mod request;
mod response;
mod sampler;
mod server;
mod socket;
mod stats;
mod status;

pub use certificate_operations::Operations;
pub use checks::{CheckReport, CheckResult, CheckStatus, RehearsalCa, RehearsalRequest};
pub use client::Client;
pub use configured_names::ConfiguredNames;
pub use error::Error;
pub use metrics_server::MetricsServer;
pub use page::{PageOptions, PageServer, Recorder};
pub use process_commands::{ProcessCommand, ProcessCommands};
pub use reload_counts::ReloadCounts;
pub use response::{
    AttemptsFacts, CertificateFacts, Done, Line, Page, RecordFacts, Reloaded, Report, Stopped,
    Upgraded,
};
pub use sampler::sample_figures;
pub use server::Server;
pub use socket::{Socket, SocketHandover};
pub use stats::Stats;
pub use status::{
    BackendLine, CertificateCounts, CertificateStatus, CheckLine, HandshakeCount, ListenerStatus,
    ProtocolStatus, RefusalCount, SiteTraffic, Status, UpstreamTraffic,
};
