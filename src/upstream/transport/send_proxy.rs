//! PROXY header at the start of a connection to a backend.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::Extensions;
use proxy_header::{ProxiedAddress, ProxyHeader};

/// Version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendProxy {
    /// Version 1, the text format.
    V1,
    /// Version 2, the binary format.
    V2,
}

/// Addresses of the client's connection to the proxy. Stored in the extensions of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddresses {
    /// Address of the client.
    pub source: SocketAddr,
    /// Address to which the client connected.
    pub destination: SocketAddr,
}

impl SendProxy {
    /// Encodes the header with the [`ClientAddresses`] in these extensions of a request. Without addresses, the header
    /// says that the proxy connects for itself.
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
    /// Returns both addresses as IPv4 or both as IPv6, because a header cannot mix them.
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
    fn version_1_names_both_addresses_in_one_family() {
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
    fn version_2_has_the_same_content_in_binary() {
        let found = header(SendProxy::V2, "192.0.2.7:4000", "10.0.0.1:443");
        let expected =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x0f\xa0\x01\xbb";
        assert_eq!(found, expected);
        let local = SendProxy::V2.header(&Extensions::new());
        assert_eq!(local, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    }
}
