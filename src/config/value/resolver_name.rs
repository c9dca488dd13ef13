//! Parses and prints DNS servers: `system` or an address.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::config::report::Problem;
use crate::dns_client::NameServer;

const SYSTEM: &str = "system";

/// Default port of DNS servers.
const PORT: u16 = 53;

/// Prints a DNS server as a Proxyfile writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolverName(pub(crate) NameServer);

impl fmt::Display for ResolverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            NameServer::System => f.write_str(SYSTEM),
            NameServer::At(address) if address.port() == PORT => write!(f, "{}", address.ip()),
            NameServer::At(address) => write!(f, "{address}"),
        }
    }
}

/// Parses `system`, an IP address, or one with a port.
pub(crate) fn parse_resolver(text: &str) -> Result<NameServer, Problem> {
    if text == SYSTEM {
        return Ok(NameServer::System);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let address = match bare.parse::<IpAddr>() {
        Ok(ip) => Some((ip, PORT).into()),
        Err(_) => text.parse::<SocketAddr>().ok(),
    };
    let usable = address.filter(|address| address.port() != 0);
    usable
        .map(NameServer::At)
        .ok_or_else(|| Problem::Resolver(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_server_is_the_system_or_an_address() {
        for (text, written) in [
            ("system", "system"),
            ("9.9.9.9", "9.9.9.9"),
            ("9.9.9.9:53", "9.9.9.9"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("2620:fe::9", "2620:fe::9"),
            ("[2620:fe::9]", "2620:fe::9"),
            ("[2620:fe::9]:5353", "[2620:fe::9]:5353"),
        ] {
            let server = parse_resolver(text).unwrap();
            assert_eq!(ResolverName(server).to_string(), written);
            assert_eq!(parse_resolver(written).unwrap(), server);
        }
        for text in ["", "dns.example.org", "9.9.9.9:", "9.9.9.9:0", "System"] {
            assert!(parse_resolver(text).is_err(), "{text:?}");
        }
    }
}
