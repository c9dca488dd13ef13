//! Parses addresses to listen on, and the names of listeners.

use crate::config::report::{ListenerProblem, Problem};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::toml::TomlValue;
use crate::server::ListenerOptions;

/// Parses `IP:PORT`, `:PORT` or a port. Without an IP, listens on all addresses of the machine.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, Problem> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if !port.starts_with('+')
        && let Ok(port) = port.parse::<u16>()
    {
        return Ok((Ipv6Addr::UNSPECIFIED, port).into());
    }
    text.parse().map_err(|_| Problem::Listen(text.to_owned()))
}

/// Parses the address of a listener, perhaps after its name and `=`.
pub(crate) fn parse_listener(text: &str) -> Result<ListenerOptions, Problem> {
    let Some((name, address)) = text.split_once('=') else {
        return parse_listen(text).map(ListenerOptions::at);
    };
    Ok(ListenerOptions {
        name: parse_listener_name(name)?,
        ..ListenerOptions::at(parse_listen(address)?)
    })
}

pub(crate) fn parse_listener_name(text: &str) -> Result<String, Problem> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err(ListenerProblem::Name(text.to_owned()).into());
    }
    Ok(text.to_owned())
}

/// Parses an address for local clients. Without an IP, listens on 127.0.0.1 only.
pub(crate) fn parse_own_listen(text: &str) -> Result<SocketAddr, Problem> {
    let mut address = parse_listen(text)?;
    let has_host = text.parse::<SocketAddr>().is_ok();
    if !has_host {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok(address)
}

pub(crate) fn read_listen(value: &TomlValue<'_>) -> Result<SocketAddr, Problem> {
    parse_listen(&value.text()?)
}

/// Reads an address for local clients.
pub(crate) fn read_own_listen(value: &TomlValue<'_>) -> Result<SocketAddr, Problem> {
    parse_own_listen(&value.text()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_address_without_an_ip_is_a_loopback_address() {
        for (text, address) in [
            ("9100", "127.0.0.1:9100"),
            (":0", "127.0.0.1:0"),
            ("[::]:9100", "[::]:9100"),
            ("10.0.0.1:9100", "10.0.0.1:9100"),
        ] {
            assert_eq!(parse_own_listen(text).unwrap().to_string(), address);
        }
    }

    #[test]
    fn a_flag_may_name_its_listener() {
        for (text, name, address) in [
            (":8080", "default", "[::]:8080"),
            ("lan=192.168.1.10:443", "lan", "192.168.1.10:443"),
            ("IoT-net_2=[::1]:0", "IoT-net_2", "[::1]:0"),
        ] {
            let listener = parse_listener(text).unwrap();
            assert_eq!(
                (
                    listener.name.as_str(),
                    listener.address.to_string().as_str()
                ),
                (name, address)
            );
        }
        for text in ["=80", "a b=80", "lan=", "lan=80=80", "lan.home=80"] {
            assert!(parse_listener(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn listen_addresses_are_parsed_in_every_form() {
        for (text, address) in [
            ("8080", "[::]:8080"),
            (":8080", "[::]:8080"),
            ("0", "[::]:0"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:443", "[::1]:443"),
        ] {
            assert_eq!(parse_listen(text).unwrap().to_string(), address);
        }
        for text in [
            "",
            ":",
            "65536",
            "+80",
            "localhost:80",
            "127.0.0.1",
            "::1:80:x",
        ] {
            assert!(parse_listen(text).is_err(), "{text:?}");
        }
    }
}
