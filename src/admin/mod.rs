//! Status and control of a running proxy over a unix socket that only its own user can open, the same operations on storage while
//! no proxy runs, and metrics for Prometheus over TCP. Knows no configuration, and binds no TCP port itself.

mod certificate_operations;
mod checks;
mod client;
mod configured_names;
mod connection;
mod error;
mod metrics_page;
mod metrics_server;
mod name_state;
mod process_commands;
mod request;
mod response;
mod server;
mod socket;
mod stats;

pub use certificate_operations::Operations;
pub use checks::{CheckReport, CheckResult, CheckStatus, RehearsalCa, RehearsalRequest};
pub use client::Client;
pub use configured_names::ConfiguredNames;
pub use error::Error;
pub use metrics_server::MetricsServer;
pub use process_commands::{ProcessCommand, ProcessCommands};
pub use response::{
    AttemptsFacts, CertificateCounts, CertificateFacts, Done, Line, ListenerStatus, Page,
    RecordFacts, RefusalCount, Reloaded, Report, Status, Stopped,
};
pub use server::Server;
pub use socket::Socket;
pub use stats::Stats;
