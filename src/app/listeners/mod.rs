//! The listeners of plain HTTP and HTTPS: their addresses, their accept rules, and the servers behind them.
//!
//! ```text
//! listeners -> { server_builder -> listener_plan -> passed_sockets, default_names }, quic_secret
//! ```

mod default_names;
mod listener_plan;
mod listeners;
mod passed_sockets;
pub(super) mod quic_secret;
mod server_builder;

pub(super) use listener_plan::{BoundListener, BoundListeners, ListenerPlan};
pub(super) use listeners::{Listeners, acceptor_rules};
pub(super) use passed_sockets::{PassedSocket, PassedSockets};
pub(super) use server_builder::{ListenConfig, ServerState};
