//! The keys of `[listen]` and `http3`.

use std::net::{Ipv6Addr, SocketAddr};

use crate::config::value::{parse_listener_name, read_listen};
use crate::listener_names::DEFAULT_LISTENER;
use crate::server::{Http3Options, ListenerOptions, ProxyProtocol};

use super::codec::{Codec, count, text};
use super::field::{Field, field};

const PROXY_PROTOCOLS: [(&str, ProxyProtocol); 2] = [
    ("required", ProxyProtocol::Required),
    ("optional", ProxyProtocol::Optional),
];

/// One listener: a table, or its address alone.
pub(crate) fn listener() -> Codec<ListenerOptions> {
    let fields = || -> Vec<Field<ListenerOptions>> {
        let name = Codec::text(parse_listener_name).omit(|name| name == DEFAULT_LISTENER);
        let address = Codec::new(|value, _| read_listen(value), text);
        let mode = Codec::choice(&PROXY_PROTOCOLS);
        vec![
            field!("name", name, name),
            field!("address", address, address),
            field!("proxy-protocol", proxy_protocol, mode.optional()),
        ]
    };
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let Codec { read, write } = Codec::table(fields, move || ListenerOptions::at(any)).or_short(
        |value| !value.is_table(),
        |value, _| Ok(ListenerOptions::at(read_listen(value)?)),
    );
    Codec {
        read,
        write: Box::new(move |listener| {
            if *listener == ListenerOptions::at(listener.address) {
                Some(text(&listener.address))
            } else {
                write(listener)
            }
        }),
    }
}

/// HTTP/3: a table, or whether it is on.
pub(crate) fn http3() -> Codec<Http3Options> {
    let fields =
        || -> Vec<Field<Http3Options>> { vec![field!("port", port, count::<u16>().optional())] };
    let on_or_off = |is_on| Http3Options { is_on, port: None };
    let Codec { read, write } = Codec::table(fields, move || on_or_off(true)).or_short(
        |value| value.is_boolean(),
        move |value, _| Ok(on_or_off(value.boolean()?)),
    );
    Codec {
        read,
        write: Box::new(move |options| {
            if *options == on_or_off(options.is_on) {
                Some(options.is_on.into())
            } else {
                write(options)
            }
        }),
    }
}

/// Writes the listeners of one kind: a list, or a single one without brackets.
pub(crate) fn write_listeners(listeners: &[ListenerOptions]) -> Option<toml::Value> {
    let write = listener().write;
    match listeners {
        [listener] => write(listener),
        listeners => {
            let written = listeners.iter().filter_map(write);
            Some(toml::Value::Array(written.collect()))
        }
    }
}
