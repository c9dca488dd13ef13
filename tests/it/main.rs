//! Integration tests, one topic a file, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod acme;
mod acme_faults;
mod cli;
mod config;
mod forwarding;
mod framing;
mod upgrade;
mod upstream_faults;
