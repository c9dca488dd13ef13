//! Parses addresses to listen on.

use crate::config::report::Problem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::toml::TomlValue;

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
