//! Integration tests, one topic a file, in one binary.
mod cli;
mod config;
