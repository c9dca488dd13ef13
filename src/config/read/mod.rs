//! Readers for the tables of a Proxyfile that need more than `fields`, one file each. Knows neither flags nor a running
//! proxy.

mod balancing;
mod dns_challenge;
mod guards;
mod handlers;
mod header_changes;
mod issuers;
mod listen;
mod proxyfile;
mod routes;
mod site_certificate;
mod site_features;
mod site_listeners;
mod site_reader;
mod sites;

pub(crate) use proxyfile::Proxyfile;
