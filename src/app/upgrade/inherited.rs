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

/// Name of the line to the process that waits for this one.
pub(super) const PREDECESSOR_NAME: &str = "proxy-predecessor";
/// Name of the admin socket.
pub(super) const ADMIN_NAME: &str = "admin";

/// Everything that this process has inherited.
#[derive(Debug, Default)]
pub struct Inherited {
    pub(in crate::app) sockets: PassedSockets,
    pub(in crate::app) admin: Option<UnixListener>,
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
        let (mut inherited, mut sockets) = (Self::default(), Vec::new());
        for index in 0..fds.len() {
            let name = names.next().map(OsStr::from_bytes).unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            if let Err(error) = inherited.take_one(&mut fds, index, &name, &mut sockets) {
                inherited.unusable.push((name, error));
            }
        }
        inherited.sockets = PassedSockets::new(sockets);
        inherited
    }

    fn take_one(
        &mut self,
        fds: &mut ListenFd,
        index: usize,
        name: &str,
        sockets: &mut Vec<PassedSocket>,
    ) -> std::io::Result<()> {
        match name {
            PREDECESSOR_NAME => {
                let (unix, stream) = (Domain::UNIX.into(), Type::STREAM.into());
                let line = fds.take_custom(index, unix, stream, "unix stream socket")?;
                self.predecessor = line.map(Predecessor::new).unwrap_or_default();
            }
            ADMIN_NAME => self.admin = fds.take_unix_listener(index)?,
            _ => {
                if let Some(socket) = fds.take_tcp_listener(index)? {
                    sockets.push(PassedSocket {
                        name: name.to_owned(),
                        address: socket.local_addr()?,
                        socket,
                    });
                }
            }
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
            warn!(name, %error, "a passed socket cannot be used; pass TCP sockets (ListenStream= in a socket unit)");
        }
    }
}
