//! Listening sockets that another process has bound and passed to this one: systemd, or the proxy that this one replaces. Each
//! goes to the listener with its address, or else to one with its name.

use std::io;
use std::net::{SocketAddr, TcpListener};

use tracing::{info, warn};

use crate::listener_names::DEFAULT_LISTENER;
use crate::server::{Listener, ListenerOptions, UdpListener};

/// A passed socket.
#[derive(Debug)]
pub(in crate::app) struct PassedSocket {
    /// Its name in LISTEN_FDNAMES.
    pub(in crate::app) name: String,
    pub(in crate::app) address: SocketAddr,
    pub(in crate::app) socket: TcpListener,
}

/// The passed sockets that have no listener yet.
#[derive(Debug, Default)]
pub(in crate::app) struct PassedSockets {
    sockets: Vec<PassedSocket>,
    /// UDP sockets with their names.
    udp: Vec<(String, UdpListener)>,
    /// `true` if any was passed, so that a listener without one is worth a word.
    has_been_passed: bool,
}

/// The protocol of a listener. Its word is a part of socket names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Https,
    Http3,
}

impl Protocol {
    fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Http3 => "http3",
        }
    }

    /// Returns the name under which the sockets of a listener are passed on.
    pub(super) fn socket_name(self, listener: &str) -> String {
        match listener {
            DEFAULT_LISTENER => self.word().to_owned(),
            name => format!("{}.{name}", self.word()),
        }
    }
}

impl PassedSockets {
    /// Adds a TCP socket.
    pub(in crate::app) fn add(&mut self, passed: PassedSocket) {
        self.has_been_passed = true;
        self.sockets.push(passed);
    }

    /// Adds a UDP socket.
    pub(in crate::app) fn add_udp(&mut self, name: String, socket: UdpListener) {
        self.udp.push((name, socket));
    }

    /// Takes the UDP sockets on the address of a listener.
    pub(super) fn take_udp(&mut self, address: SocketAddr) -> Vec<UdpListener> {
        let is_it = |socket: &UdpListener| socket.address().is_ok_and(|it| fits(it, address));
        let (taken, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.udp)
            .into_iter()
            .partition(|(_, socket)| is_it(socket));
        self.udp = rest;
        taken.into_iter().map(|(_, socket)| socket).collect()
    }

    /// Returns the addresses of the sockets. They are in use, but not by another program.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|passed| passed.address).collect()
    }

    /// Takes the socket of this name and address, for another use than a listener.
    pub(in crate::app) fn take_named(
        &mut self,
        name: &str,
        address: SocketAddr,
    ) -> Option<TcpListener> {
        let is_it = |passed: &PassedSocket| passed.name == name && fits(passed.address, address);
        let index = self.sockets.iter().position(is_it)?;
        Some(self.sockets.remove(index).socket)
    }

    /// Takes the sockets of the listeners of one protocol, in their order: first by address, then by name.
    pub(super) fn take(
        &mut self,
        protocol: Protocol,
        wanted: &[ListenerOptions],
    ) -> io::Result<Vec<Vec<Listener>>> {
        let passed = self.sockets.iter();
        let passed: Vec<_> = passed
            .map(|passed| (passed.name.as_str(), passed.address))
            .collect();
        let mut owners = assign(protocol, wanted, &passed).into_iter();
        let mut taken: Vec<Vec<Listener>> = wanted.iter().map(|_| Vec::new()).collect();
        for passed in std::mem::take(&mut self.sockets) {
            match owners.next().flatten() {
                Some(owner) => taken[owner].push(Listener::adopt(passed.socket)?),
                None => self.sockets.push(passed),
            }
        }
        Ok(taken)
    }

    /// Says which listener has no socket, though others have one.
    pub(super) fn note_missing(&self, address: &str) {
        if self.has_been_passed {
            info!(
                address,
                "no passed socket is for this listener, so the proxy has bound it itself"
            );
        }
    }

    /// Closes the sockets that no listener wants, and says which.
    pub(in crate::app) fn close_unwanted(self) {
        let udp = self.udp.into_iter();
        let udp = udp.filter_map(|(name, socket)| Some((name, socket.address().ok()?)));
        let tcp = self.sockets.into_iter();
        let mut unwanted: Vec<_> = tcp.map(|it| (it.name, it.address)).chain(udp).collect();
        unwanted.dedup();
        for (name, address) in unwanted {
            warn!(
                name, %address,
                "no listener has the address or the name of this passed socket, so it is closed; add its address to [listen], or name it http or https"
            );
        }
    }
}

/// Returns for each passed socket the listener that gets it.
fn assign(
    protocol: Protocol,
    wanted: &[ListenerOptions],
    passed: &[(&str, SocketAddr)],
) -> Vec<Option<usize>> {
    let mut owners: Vec<Option<usize>> = vec![None; passed.len()];
    // The address that each listener has got.
    let mut got: Vec<Option<SocketAddr>> = vec![None; wanted.len()];
    let mut give = |owners: &mut [Option<usize>],
                    has: &dyn Fn(&ListenerOptions, &str, SocketAddr) -> bool| {
        for (owner, (name, address)) in owners.iter_mut().zip(passed) {
            let mut listeners = wanted.iter().zip(&mut got).enumerate();
            let found = listeners.find(|(_, (options, got))| {
                // Several sockets of one address belong together.
                got.is_none_or(|got| got == *address) && has(options, name, *address)
            });
            if let (None, Some((index, (_, got)))) = (&owner, found) {
                (*owner, *got) = (Some(index), Some(*address));
            }
        }
    };
    give(&mut owners, &|options, _, address| {
        options.address.port() != 0 && fits(address, options.address)
    });
    give(&mut owners, &|options, name, _| {
        name == protocol.socket_name(&options.name) || name == options.name
    });
    owners
}

/// `true` if a socket on `address` is what a listener on `wanted` would bind. `[::]` stands for all addresses, and so does
/// `0.0.0.0` where there is no IPv6.
fn fits(address: SocketAddr, wanted: SocketAddr) -> bool {
    let both_any = address.ip().is_unspecified() && wanted.ip().is_unspecified();
    let is_ip = address.ip().to_canonical() == wanted.ip().to_canonical();
    let has_ip = is_ip || (both_any && wanted.is_ipv6());
    has_ip && (address.port() == wanted.port() || wanted.port() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners(wanted: &[(&str, &str)]) -> Vec<ListenerOptions> {
        let wanted = wanted.iter().map(|(name, address)| ListenerOptions {
            name: (*name).to_owned(),
            ..ListenerOptions::at(address.parse().unwrap())
        });
        wanted.collect()
    }

    #[test]
    fn sockets_go_by_address_and_then_by_name() {
        let default = DEFAULT_LISTENER;
        for (wanted, passed, expected) in [
            // By address, whatever the name.
            (
                &[(default, "[::]:443")][..],
                &[("proxy.socket", "[::]:443"), ("proxy.socket", "[::]:80")][..],
                &[Some(0), None][..],
            ),
            (
                &[(default, "[::]:443")],
                &[("x", "0.0.0.0:443")],
                &[Some(0)],
            ),
            (&[(default, "0.0.0.0:443")], &[("x", "[::]:443")], &[None]),
            // By name: that of the protocol, or of the listener.
            (
                &[(default, "[::]:443"), ("lan", "10.0.0.1:443")],
                &[
                    ("lan", "10.0.0.7:443"),
                    ("https", "10.0.0.8:444"),
                    ("http", "[::]:80"),
                ],
                &[Some(1), Some(0), None],
            ),
            (
                &[("lan", "10.0.0.1:0")],
                &[("https.lan", "10.0.0.1:4711")],
                &[Some(0)],
            ),
            (
                &[("lan", "10.0.0.1:0")],
                &[("http.lan", "10.0.0.1:4711")],
                &[None],
            ),
            // All sockets of an address go together, and a listener has one address.
            (
                &[(default, "127.0.0.1:0"), (default, "127.0.0.1:0")],
                &[
                    ("https", "127.0.0.1:1"),
                    ("https", "127.0.0.1:1"),
                    ("https", "127.0.0.1:2"),
                    ("https", "127.0.0.1:2"),
                    ("https", "127.0.0.1:3"),
                ],
                &[Some(0), Some(0), Some(1), Some(1), None],
            ),
            // The address wins over the name.
            (
                &[(default, "[::]:443"), ("lan", "10.0.0.1:443")],
                &[("lan", "[::]:443"), ("https", "10.0.0.1:443")],
                &[Some(0), Some(1)],
            ),
        ] {
            let passed: Vec<_> = passed
                .iter()
                .map(|(name, address)| (*name, address.parse().unwrap()))
                .collect();
            let owners = assign(Protocol::Https, &listeners(wanted), &passed);
            assert_eq!(owners, expected, "{wanted:?} {passed:?}");
        }
    }
}
