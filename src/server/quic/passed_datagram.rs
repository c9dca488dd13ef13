//! A datagram on its way from the worker that received it to the one that has its connection, be it in another process.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use quinn::udp::{EcnCodepoint, RecvMeta};

/// Bytes of an address: IP version 6 or mapped version 4, and port.
const ADDRESS: usize = 18;
/// Bytes before the datagram: three addresses, the last one without its port, and the ECN bits.
const HEAD: usize = 2 * ADDRESS + 16 + 1;

/// A datagram, with all that is known of it.
#[derive(Debug)]
pub(super) struct PassedDatagram {
    pub(super) meta: RecvMeta,
    pub(super) data: Bytes,
}

impl PassedDatagram {
    /// Takes a datagram of a batch with these facts.
    pub(super) fn new(meta: &RecvMeta, datagram: &[u8]) -> Self {
        Self {
            meta: RecvMeta {
                len: datagram.len(),
                stride: datagram.len(),
                ..*meta
            },
            data: Bytes::copy_from_slice(datagram),
        }
    }

    /// Writes the datagram for another process, which has a socket on the `listener` too.
    pub(super) fn encode(&self, listener: SocketAddr) -> Vec<u8> {
        let mut message = Vec::with_capacity(HEAD + self.data.len());
        for address in [listener, self.meta.addr] {
            message.extend_from_slice(&ip_bytes(address.ip()));
            message.extend_from_slice(&address.port().to_be_bytes());
        }
        let local = self
            .meta
            .dst_ip
            .unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        message.extend_from_slice(&ip_bytes(local));
        message.push(self.meta.ecn.map_or(0, |ecn| ecn as u8));
        message.extend_from_slice(&self.data);
        message
    }

    /// Reads a datagram of another process, and the address of its listener.
    pub(super) fn decode(message: &[u8]) -> Option<(SocketAddr, Self)> {
        let (listener, rest) = address(message)?;
        let (client, rest) = address(rest)?;
        let (local, rest) = rest.split_first_chunk::<16>()?;
        let (ecn, datagram) = rest.split_first()?;
        let listener = SocketAddr::new(listener.ip().to_canonical(), listener.port());
        // Sockets of IP version 6 know clients of version 4 by mapped addresses.
        let fitting = |ip: IpAddr| {
            if listener.is_ipv6() {
                ip
            } else {
                ip.to_canonical()
            }
        };
        let local = IpAddr::from(*local);
        let meta = RecvMeta {
            addr: SocketAddr::new(fitting(client.ip()), client.port()),
            dst_ip: (!local.is_unspecified()).then(|| fitting(local)),
            ecn: EcnCodepoint::from_bits(*ecn),
            ..RecvMeta::default()
        };
        Some((listener, Self::new(&meta, datagram)))
    }
}

fn ip_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Reads the address at the beginning.
fn address(message: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (ip, rest) = message.split_first_chunk::<16>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let ip = IpAddr::from(*ip);
    Some((SocketAddr::new(ip, u16::from_be_bytes(*port)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_the_same_in_another_process() {
        for (listener, client, local) in [
            ("127.0.0.1:443", "192.0.2.1:5000", Some("127.0.0.1")),
            ("[2001:db8::1]:443", "[2001:db8::2]:1", Some("2001:db8::1")),
            ("127.0.0.1:443", "192.0.2.1:5000", None),
            (
                "[::]:443",
                "[::ffff:192.0.2.1]:5000",
                Some("::ffff:127.0.0.1"),
            ),
        ] {
            let meta = RecvMeta {
                addr: client.parse().unwrap(),
                dst_ip: local.map(|ip| ip.parse().unwrap()),
                ecn: EcnCodepoint::from_bits(1),
                ..RecvMeta::default()
            };
            let message = PassedDatagram::new(&meta, b"hello").encode(listener.parse().unwrap());
            let (at, passed) = PassedDatagram::decode(&message).unwrap();
            assert_eq!(at, listener.parse().unwrap());
            assert_eq!(&passed.data[..], b"hello");
            assert_eq!(
                (passed.meta.addr, passed.meta.dst_ip),
                (meta.addr, meta.dst_ip)
            );
            assert_eq!((passed.meta.len, passed.meta.stride), (5, 5));
            assert_eq!(passed.meta.ecn.map(|ecn| ecn as u8), Some(1));
            for cut in 0..HEAD {
                assert!(PassedDatagram::decode(&message[..cut]).is_none(), "{cut}");
            }
        }
    }
}
