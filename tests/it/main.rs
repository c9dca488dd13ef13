//! Integration tests, one topic a file, in one binary.

mod harness;

mod cli;
mod config;
mod forwarding;
mod framing;
mod upgrade;
mod upstream_faults;
