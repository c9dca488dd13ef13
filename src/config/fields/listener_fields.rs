//! The keys of `[listen]`.

use std::net::{Ipv6Addr, SocketAddr};

use crate::config::value::read_listen;
use crate::server::ProxyProtocol;

use super::codec::{Codec, text};
use super::field::{Field, field};

const PROXY_PROTOCOLS: [(&str, ProxyProtocol); 2] = [
    ("required", ProxyProtocol::Required),
    ("optional", ProxyProtocol::Optional),
];

/// An address to listen on, and whether its connections begin with a PROXY header.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
}

pub(crate) fn listener() -> Codec<Listener> {
    let fields = || -> Vec<Field<Listener>> {
        let address = Codec::new(|value, _| read_listen(value), text);
        let mode = Codec::choice(&PROXY_PROTOCOLS);
        vec![
            field!("address", address, address),
            field!("proxy-protocol", proxy_protocol, mode.optional()),
        ]
    };
    let at = |address| Listener {
        address,
        proxy_protocol: None,
    };
    let Codec { read, write } = Codec::table(fields, move || at((Ipv6Addr::UNSPECIFIED, 0).into()))
        .or_short(
            |value| !value.is_table(),
            move |value, _| Ok(at(read_listen(value)?)),
        );
    Codec {
        read,
        write: Box::new(move |listener| match listener.proxy_protocol {
            None => Some(text(&listener.address)),
            Some(_) => write(listener),
        }),
    }
}
