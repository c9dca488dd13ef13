//! Integration tests, one topic a file, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod access_log;
mod acme;
mod acme_faults;
mod admin;
mod bodies;
mod budgets;
mod ca_faults;
mod certs_cli;
mod cli;
mod client_address;
mod client_certificates;
mod compression;
mod config;
mod dns01;
mod dns01_issuance;
mod error_pages;
mod file_pairs;
mod files;
mod forward_auth;
mod forwarding;
mod framing;
mod guards;
mod headers;
mod import;
mod internal_ca;
mod issuance;
mod issuers;
mod limits;
mod on_cert;
mod on_demand;
mod order_faults;
mod order_kills;
mod order_resume;
mod plain_http;
mod preflight;
mod proxy_protocol;
mod rate_limit;
mod renewal;
mod resolver;
mod routes;
mod shutdown;
mod simulated_month;
mod streams;
mod tls_alpn;
mod tls_handshake;
mod trust;
mod upgrade;
mod upstream_faults;
mod web_socket;
mod web_socket_h2;
