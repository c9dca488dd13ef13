//! The keys of `[limits]`.

use crate::config::value::parse_size;
use crate::server::Limits;

use super::codec::{count, duration, head_size, sized};
use super::field::{Field, field};

pub(crate) fn limits() -> Vec<Field<Limits>> {
    vec![
        field!("handshake-timeout", handshake_timeout, duration()),
        field!("header-timeout", header_timeout, duration()),
        field!("idle-timeout", idle_timeout, duration()),
        field!("body-timeout", body_timeout, duration()),
        field!("drain-timeout", drain_timeout, duration()),
        field!("head-size", head_size, head_size()),
        field!("head-fields", head_fields, count()),
        field!("streams", streams, count()),
        field!("connections-per-client", connections_per_client, count()),
        field!("stream-memory", stream_memory, sized(parse_size)),
    ]
}
