//! Status and control of a running proxy over a unix socket that only its own user can open, and
//! the same answers from storage when none runs; its numbers for Prometheus where they are asked for. Knows no configuration; opens
//! no TCP port.

mod answer;
mod blueprint;
mod call;
mod client;
mod conversation;
mod desk;
mod error;
mod exporter;
mod server;
mod socket;
mod state;
mod vitals;

pub use answer::{
    AttemptsFacts, CertificateCounts, CertificateFacts, Done, Line, Page, RecordFacts,
    RefusalCount, Report, Status,
};
pub use blueprint::Blueprint;
pub use client::Client;
pub use desk::Desk;
pub use error::Error;
pub use exporter::Exporter;
pub use server::Server;
pub use socket::Socket;
pub use vitals::Vitals;
