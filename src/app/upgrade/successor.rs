//! The process that is to replace this one: started with the sockets of this one, and waited for until it serves.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::inherited::{ADMIN_NAME, LINK_PREFIX, PREDECESSOR_NAME};
use super::predecessor::READY;
use crate::server::SuccessorLink;

/// Time for a new process to get ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for the exit status of a process that has closed its line.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest text that is read of why a process does not start.
const LONGEST_REASON: u64 = 64 * 1024;
/// The first inherited file descriptor (SD_LISTEN_FDS_START).
const FIRST_FD: i32 = 3;

/// Reasons why a new process does not take over, each with the fix.
#[derive(Debug, thiserror::Error)]
pub(in crate::app) enum SuccessorError {
    /// The binary cannot be started.
    #[error("{} cannot be started: {source}; give the path of the new binary with --binary PATH", binary.display())]
    Spawn {
        /// The binary.
        binary: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The sockets cannot be handed over.
    #[error("the sockets cannot be handed over: {0}")]
    Sockets(io::Error),
    /// The new process has said why it does not start.
    #[error("{}", .0.trim_end())]
    Failed(String),
    /// The new process has ended without a word.
    #[error("{} ended before it was ready: {status}; its own output is in the log", binary.display())]
    Ended {
        /// The binary.
        binary: PathBuf,
        /// Its exit status.
        status: ExitStatus,
    },
    /// The new process does not know how to say that it is ready.
    #[error(
        "{} runs, but does not say that it is ready; only a version of the proxy that can be upgraded to can be started so", .0.display()
    )]
    Silent(PathBuf),
    /// The new process takes too long.
    #[error("{} was not ready within {} s, and was ended; see the log", binary.display(), limit.as_secs())]
    Late {
        /// The binary.
        binary: PathBuf,
        /// The limit.
        limit: Duration,
    },
}

/// The sockets of this process, with their names.
#[derive(Debug, Default)]
pub(in crate::app) struct Handover {
    sockets: Vec<(String, OwnedFd)>,
}

impl Handover {
    /// Adds listening sockets of clients.
    pub(in crate::app) fn add(&mut self, sockets: impl IntoIterator<Item = (String, OwnedFd)>) {
        self.sockets.extend(sockets);
    }

    /// Adds the link for the datagrams of HTTP/3.
    pub(in crate::app) fn add_link(&mut self, link: SuccessorLink) {
        let name = format!("{LINK_PREFIX}{}", link.generation);
        self.sockets.push((name, link.socket));
    }

    /// Adds the admin socket.
    pub(in crate::app) fn add_admin(&mut self, socket: OwnedFd) {
        self.sockets.push((ADMIN_NAME.to_owned(), socket));
    }
}

/// A process that ends with this value.
#[derive(Debug)]
struct Unreleased(Option<Child>);

impl Drop for Unreleased {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // Fails if it has ended, which is as well.
            let _ = child.start_kill();
        }
    }
}

/// A new process that serves. It is ended with this value, unless it is released.
#[derive(Debug)]
pub(in crate::app) struct Successor {
    child: Unreleased,
    /// Its version.
    pub(in crate::app) version: String,
}

impl Successor {
    /// Starts `binary` with the arguments of this process, and waits until it serves. A process that does not is ended, also
    /// if the future is dropped.
    pub(in crate::app) async fn start(
        binary: &Path,
        handover: Handover,
    ) -> Result<Self, SuccessorError> {
        let (child, line) = spawn(binary, handover)?;
        let waiting = wait_until_ready(binary, Unreleased(Some(child)), line);
        match timeout(READY_TIMEOUT, waiting).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SuccessorError::Late {
                binary: binary.to_owned(),
                limit: READY_TIMEOUT,
            }),
        }
    }

    /// Lets the new process go on alone. Returns its number.
    pub(in crate::app) fn release(mut self) -> u32 {
        let child = self.child.0.take();
        child.and_then(|child| child.id()).unwrap_or_default()
    }
}

fn spawn(binary: &Path, handover: Handover) -> Result<(Child, UnixStream), SuccessorError> {
    let (own, theirs) = StdUnixStream::pair().map_err(SuccessorError::Sockets)?;
    let mut sockets = handover.sockets;
    sockets.push((PREDECESSOR_NAME.to_owned(), theirs.into()));
    let names: Vec<_> = sockets.iter().map(|(name, _)| name.clone()).collect();
    let mappings = (FIRST_FD..)
        .zip(sockets)
        .map(|(child_fd, (_, parent_fd))| FdMapping {
            parent_fd,
            child_fd,
        });
    let mut command = std::process::Command::new(binary);
    command
        .args(std::env::args_os().skip(1))
        .env("LISTEN_FDS", names.len().to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        // These name this process.
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_PIDFDID")
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::null());
    let mapped = command.fd_mappings(mappings.collect());
    mapped.map_err(|error| SuccessorError::Sockets(io::Error::other(error)))?;
    let child = Command::from(command).spawn();
    let child = child.map_err(|source| SuccessorError::Spawn {
        binary: binary.to_owned(),
        source,
    })?;
    let line = own
        .set_nonblocking(true)
        .and_then(|()| UnixStream::from_std(own));
    Ok((child, line.map_err(SuccessorError::Sockets)?))
}

async fn wait_until_ready(
    binary: &Path,
    mut child: Unreleased,
    line: UnixStream,
) -> Result<Successor, SuccessorError> {
    let mut said = Vec::new();
    // Ends when the process has said all, or with the process. An error is an end, too.
    let _ = line.take(LONGEST_REASON).read_to_end(&mut said).await;
    let said = String::from_utf8_lossy(&said).into_owned();
    if let Some(version) = said.strip_prefix(READY) {
        let version = version.trim_end().to_owned();
        return Ok(Successor { child, version });
    }
    if !said.trim().is_empty() {
        return Err(SuccessorError::Failed(said));
    }
    let binary = binary.to_owned();
    let ended = async {
        match &mut child.0 {
            Some(child) => child.wait().await.ok(),
            None => None,
        }
    };
    match timeout(EXIT_TIMEOUT, ended).await {
        Ok(Some(status)) => Err(SuccessorError::Ended { binary, status }),
        _ => Err(SuccessorError::Silent(binary)),
    }
}

/// Returns the path of the binary of this process, where its successor will be. Called before that is replaced: afterwards, the
/// system no longer knows the path.
pub(in crate::app) fn own_binary() -> io::Result<PathBuf> {
    std::env::current_exe()
}
