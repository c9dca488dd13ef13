//! The PROXY header that a connection to a backend begins with.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::Extensions;
use proxy_header::{ProxiedAddress, ProxyHeader};

/// Version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendProxy {
    /// The text form.
    V1,
    /// The binary form.
    V2,
}

impl fmt::Display for SendProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// Addresses of the client for whom a connection is opened. Stored in the extensions of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddresses {
    /// The client's own address.
    pub source: SocketAddr,
    /// The address that it connected to.
    pub destination: SocketAddr,
}

impl SendProxy {
    /// Encodes the header for the client of a request with these extensions, or for the proxy itself if they have none.
    pub(in crate::upstream) fn header(self, extensions: &Extensions) -> Vec<u8> {
        let addresses = extensions.get::<ClientAddresses>();
        let header = match addresses.copied().map(ClientAddresses::in_one_family) {
            Some((source, destination)) => {
                ProxyHeader::with_address(ProxiedAddress::stream(source, destination))
            }
            None => ProxyHeader::with_local(),
        };
        let mut bytes = Vec::with_capacity(107);
        let written = match self {
            Self::V1 => header.encode_v1(&mut bytes),
            Self::V2 => header.encode_v2(&mut bytes),
        };
        written.expect("stream addresses of one family without extensions fit both versions");
        bytes
    }
}

impl ClientAddresses {
    /// Both addresses as IPv4, or both as IPv6: a header has no other pair.
    fn in_one_family(self) -> (SocketAddr, SocketAddr) {
        let Self {
            source,
            destination,
        } = self;
        let mapped = |address: SocketAddr| match address.ip() {
            IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
            IpAddr::V6(_) => address,
        };
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                (source, destination)
            }
            (IpAddr::V4(_), IpAddr::V6(ip)) if ip.is_unspecified() => {
                let none = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), destination.port());
                (source, none)
            }
            _ => (mapped(source), mapped(destination)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: SendProxy, source: &str, destination: &str) -> Vec<u8> {
        let mut extensions = Extensions::new();
        extensions.insert(ClientAddresses {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        });
        version.header(&extensions)
    }

    #[test]
    fn the_text_names_both_ends_in_one_family() {
        for (source, destination, line) in [
            (
                "192.0.2.7:4000",
                "10.0.0.1:443",
                "PROXY TCP4 192.0.2.7 10.0.0.1 4000 443\r\n",
            ),
            (
                "[2001:db8::7]:4000",
                "[::1]:443",
                "PROXY TCP6 2001:db8::7 ::1 4000 443\r\n",
            ),
            (
                "[2001:db8::7]:4000",
                "10.0.0.1:443",
                "PROXY TCP6 2001:db8::7 ::ffff:10.0.0.1 4000 443\r\n",
            ),
            (
                "192.0.2.7:0",
                "[::]:443",
                "PROXY TCP4 192.0.2.7 0.0.0.0 0 443\r\n",
            ),
        ] {
            let found = header(SendProxy::V1, source, destination);
            assert_eq!(String::from_utf8(found).unwrap(), line);
        }
    }

    #[test]
    fn the_bytes_say_the_same() {
        let found = header(SendProxy::V2, "192.0.2.7:4000", "10.0.0.1:443");
        let expected =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x0f\xa0\x01\xbb";
        assert_eq!(found, expected);
        let local = SendProxy::V2.header(&Extensions::new());
        assert_eq!(local, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    }
}
