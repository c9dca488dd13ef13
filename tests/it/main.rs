//! Integration tests, one topic a file, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod acme;
mod acme_faults;
mod bodies;
mod ca_faults;
mod cli;
mod config;
mod forwarding;
mod framing;
mod issuance;
mod limits;
mod on_demand;
mod plain_http;
mod renewal;
mod shutdown;
mod simulated_month;
mod tls_handshake;
mod upgrade;
mod upstream_faults;
mod web_socket;
