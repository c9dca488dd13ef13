//! The keys of each table of a Proxyfile that fills one option type. One entry both reads a key into its field and writes
//! it back. Knows no `Config`.

mod certificate_fields;
mod codec;
mod field;
mod guard_fields;
mod limit_fields;
mod listener_fields;
mod log_fields;
mod problem_fields;
mod site_fields;
mod tracing_fields;
mod upstream_fields;

pub(crate) use certificate_fields::{
    cloudflare, issuer, name_constraints, name_servers, on_demand, rfc2136, tls_files, write_dns,
};
pub(crate) use codec::{Codec, boolean, command, path, read_path, secret, text};
pub(crate) use field::{Field, TableReader, field, read_value, write_table};
pub(crate) use guard_fields::{guards, route_guards};
pub(crate) use limit_fields::limits;
pub(crate) use listener_fields::{http3, listener, write_listeners};
pub(crate) use log_fields::{access_log, access_log_table, log, parse_target};
pub(crate) use problem_fields::problem_receiver;
pub(crate) use site_fields::{
    client_auth, features, http_modes, redirect, site_features, tls_versions,
};
pub(crate) use tracing_fields::tracing;
pub(crate) use upstream_fields::{health, share, upstream_options};
