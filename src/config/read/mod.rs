//! The tables of a Proxyfile, each read into its options by one file. Knows neither flags nor a running proxy.

mod access_log;
mod actions;
mod balancing;
mod client_tls;
mod dns;
mod guards;
mod header_changes;
mod issuers;
mod listen;
mod proxyfile;
mod routes;
mod site_certificate;
mod site_features;
mod site_reader;
mod sites;
mod upstreams;

pub(crate) use access_log::parse_target;
pub(crate) use issuers::external_account;
pub(crate) use proxyfile::Proxyfile;
