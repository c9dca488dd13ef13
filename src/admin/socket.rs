//! The unix socket: closed to other users from its first moment, for one process at a time, and replaced if its last process was
//! killed.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Type};
use tokio::net::{UnixListener, UnixStream};

use super::connection::Listen;
use super::error::Error;

/// Longest path in the address of a unix socket, without the zero byte at its end.
const MAX_PATH: usize = 107;
/// Most clients that wait to be accepted.
const BACKLOG: i32 = 16;

/// A listening unix socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    _lock: File,
}

impl Socket {
    /// Opens the socket at `path` with mode 0600. Replaces the socket of a process that has ended. Needs a runtime.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.as_os_str().len() > MAX_PATH {
            return Err(Error::TooLong {
                path: path.to_owned(),
                limit: MAX_PATH,
            });
        }
        let failed = |source| Error::Open {
            path: path.to_owned(),
            source,
        };
        // The kernel releases the lock when the process ends, in whatever way. The socket's file would stay.
        let lock = match lock(path) {
            Ok(lock) => lock,
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        };
        clear(path)?;
        let listener = listen(path).and_then(UnixListener::from_std);
        Ok(Self {
            listener: listener.map_err(failed)?,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Listen for Socket {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Locks the file beside the socket. It is never removed: two processes could lock a removed file and its successor.
fn lock(path: &Path) -> Result<File, TryLockError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(name)
        .map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// Removes the socket of a process that has ended. Fails on any other file.
fn clear(path: &Path) -> Result<(), Error> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(Error::NotASocket(path.to_owned()));
    }
    // Another program that listens here does not take our lock.
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(Error::InUse(path.to_owned()));
    }
    fs::remove_file(path).map_err(|source| Error::Open {
        path: path.to_owned(),
        source,
    })
}

/// Sets the mode of the socket before it is bound. Its file has that mode from the start, so no other user can ever connect.
fn listen(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(0o600))?;
    let socket = socket2::Socket::from(OwnedFd::from(file));
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(OwnedFd::from(socket).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_private_and_removed_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let socket = Socket::open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
        Socket::open(&path).unwrap();
    }

    #[tokio::test]
    async fn a_socket_without_a_listener_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Socket::open(&path).unwrap();
    }

    #[tokio::test]
    async fn one_process_listens_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, foreign) = (dir.path().join("a"), dir.path().join("b"));
        let _socket = Socket::open(&ours).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&foreign).unwrap();
        for path in [ours, foreign] {
            let error = Socket::open(&path).unwrap_err();
            assert!(matches!(error, Error::InUse(_)), "{error}");
            assert!(path.exists());
        }
    }

    #[tokio::test]
    async fn other_files_are_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        let error = Socket::open(&path).unwrap_err();
        assert!(error.to_string().contains("is not a socket; remove it"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_reported_with_its_length() {
        let path = PathBuf::from(format!("/{}", "x".repeat(107)));
        let error = Socket::open(&path).unwrap_err().to_string();
        assert!(error.contains("has 108 bytes"), "{error}");
        assert!(error.contains("no more than 107"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let room = MAX_PATH - dir.path().as_os_str().len() - 1;
        Socket::open(&dir.path().join("x".repeat(room))).unwrap();
    }
}
