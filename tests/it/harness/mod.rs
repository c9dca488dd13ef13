//! Real peers for the tests, and what makes them.

pub(crate) mod admin;
pub(crate) mod app;
pub(crate) mod bind;
pub(crate) mod client;
pub(crate) mod cloudflare;
pub(crate) mod dns;
pub(crate) mod door;
pub(crate) mod front;
pub(crate) mod grpc;
pub(crate) mod h2_origin;
pub(crate) mod http01;
pub(crate) mod memory_storage;
pub(crate) mod nginx;
pub(crate) mod node;
pub(crate) mod origin;
pub(crate) mod pebble;
pub(crate) mod pki;
pub(crate) mod ports;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod scripted_ca;
pub(crate) mod skip;
pub(crate) mod stopping_storage;
pub(crate) mod stopping_zone;
pub(crate) mod stops;
