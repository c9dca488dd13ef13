//! Real peers for the tests, and what makes them.

pub(crate) mod app;
pub(crate) mod client;
pub(crate) mod dns;
pub(crate) mod door;
pub(crate) mod grpc;
pub(crate) mod h2_origin;
pub(crate) mod http01;
pub(crate) mod nginx;
pub(crate) mod origin;
pub(crate) mod pebble;
pub(crate) mod pki;
pub(crate) mod ports;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod scripted_ca;
