//! A TLS-terminating reverse proxy that gets and renews its own certificates over ACME.
//!
//! Two towers that never see each other, joined by `server`: certificates on the left, requests on
//! the right.
//!
//! ```text
//! main -> cli -> app -> config
//!                  |--> admin
//!                  `--> server --+--> tls --> certs --+--> acme          left tower: certificates
//!                                |                    `--> storage
//!                                `--> proxy --> upstream --> http1       right tower: requests
//! ground, knowing no room: name  backoff  gcra  dns_client  pem  per_worker  figures  tasks  trust  prometheus
//! log_limit  log_groups  uninterrupted  non_blocking_writer  printable  listener_names  memory  hook_command  traces
//! web_client
//! ```
//!
//! Imports go downward only; `tests/architecture/` holds them to the table of allowed edges.

pub mod cli;

pub mod app;
pub mod config;

pub mod admin;
pub mod server;

pub mod acme;
pub mod certs;
pub mod storage;
pub mod tls;

pub mod http1;
pub mod proxy;
pub mod upstream;

pub mod backoff;
pub mod dns_client;
pub mod figures;
pub mod gcra;
pub mod hook_command;
pub mod listener_names;
pub mod log_groups;
pub mod log_limit;
pub mod memory;
pub mod name;
pub mod non_blocking_writer;
pub mod pem;
pub mod per_worker;
pub mod printable;
pub mod prometheus;
pub mod tasks;
pub mod traces;
pub mod trust;
pub mod uninterrupted;
pub mod web_client;
