//! Integration tests, one topic a file, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod acme;
mod acme_faults;
mod balancing;
mod bodies;
mod ca_faults;
mod cli;
mod config;
mod forwarding;
mod framing;
mod health;
mod issuance;
mod limits;
mod on_demand;
mod order_faults;
mod order_resume;
mod plain_http;
mod preflight;
mod resolver;
mod shutdown;
mod tls_alpn;
mod tls_handshake;
mod upgrade;
mod upstream_dns;
mod upstream_faults;
mod upstream_h2;
mod upstream_health;
mod upstream_tls;
mod upstream_unix;
mod web_socket;
