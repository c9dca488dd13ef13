//! The open sockets that this process got when it was started, by the protocol of systemd (sd_listen_fds(3)): a number of them
//! in LISTEN_FDS, and their names in LISTEN_FDNAMES.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use socket2::{Domain, Type};
use tracing::warn;

use super::predecessor::Predecessor;
use crate::app::listeners::{PassedSocket, PassedSockets};
use crate::server::{PredecessorLink, UdpListener};

/// Name of the line to the process that waits for this one.
pub(super) const PREDECESSOR_NAME: &str = "proxy-predecessor";
/// First part of the name of the link to the process that this one takes over from. The number of this process follows.
pub(super) const LINK_PREFIX: &str = "http3-link.";
/// Name of the admin socket.
pub(super) const ADMIN_NAME: &str = "admin";

/// Everything that this process has inherited.
#[derive(Debug, Default)]
pub struct Inherited {
    pub(in crate::app) sockets: PassedSockets,
    pub(in crate::app) admin: Option<UnixListener>,
    /// The link over which the datagrams of connections of the former process are passed to it.
    pub(in crate::app) http3_link: Option<PredecessorLink>,
    predecessor: Predecessor,
    /// Names of what cannot be used, each with the reason.
    unusable: Vec<(String, std::io::Error)>,
}

impl Inherited {
    /// Takes what the environment names, and removes it there, so that no child takes it for its own. Called once, before
    /// threads are started.
    #[must_use]
    pub fn take() -> Self {
        let names = std::env::var_os("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.as_bytes().split(|byte| *byte == b':');
        let mut fds = ListenFd::from_env();
        let (mut inherited, mut sockets) = (Self::default(), PassedSockets::default());
        for index in 0..fds.len() {
            let name = names.next().map(OsStr::from_bytes).unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            if let Err(error) = inherited.take_one(&mut fds, index, &name, &mut sockets) {
                inherited.unusable.push((name, error));
            }
        }
        inherited.sockets = sockets;
        inherited
    }

    fn take_one(
        &mut self,
        fds: &mut ListenFd,
        index: usize,
        name: &str,
        sockets: &mut PassedSockets,
    ) -> std::io::Result<()> {
        if let Some(generation) = name.strip_prefix(LINK_PREFIX) {
            let (unix, datagram) = (Domain::UNIX.into(), Type::DGRAM.into());
            let link = fds.take_custom(index, unix, datagram, "unix datagram socket")?;
            let generation = generation.parse().map_err(std::io::Error::other)?;
            self.http3_link = link.map(|socket| PredecessorLink { socket, generation });
            return Ok(());
        }
        match name {
            PREDECESSOR_NAME => {
                let (unix, stream) = (Domain::UNIX.into(), Type::STREAM.into());
                let line = fds.take_custom(index, unix, stream, "unix stream socket")?;
                self.predecessor = line.map(Predecessor::new).unwrap_or_default();
            }
            ADMIN_NAME => self.admin = fds.take_unix_listener(index)?,
            _ => match fds.take_tcp_listener(index) {
                Ok(None) => {}
                Ok(Some(socket)) => sockets.add(PassedSocket {
                    name: name.to_owned(),
                    address: socket.local_addr()?,
                    socket,
                }),
                Err(no_tcp) => {
                    let socket = fds.take_udp_socket(index).map_err(|_| no_tcp)?;
                    if let Some(socket) = socket {
                        sockets.add_udp(name.to_owned(), UdpListener::adopt(socket)?);
                    }
                }
            },
        }
        Ok(())
    }

    /// Returns the process that waits for this one.
    #[must_use]
    pub fn predecessor(&self) -> Predecessor {
        self.predecessor.clone()
    }

    /// Says what cannot be used.
    pub(in crate::app) fn note_unusable(&self) {
        for (name, error) in &self.unusable {
            warn!(name, %error, "a passed socket cannot be used; pass TCP and UDP sockets (ListenStream= and ListenDatagram= in a socket unit)");
        }
    }
}
