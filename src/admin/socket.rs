//! The unix socket: private from its first moment, one process at a time, replaced when its last
//! owner was killed.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Type};
use tokio::net::UnixListener;

use super::error::Error;

/// The longest path that a socket's address holds, beside the byte that ends it.
pub(super) const LONGEST: usize = 107;
/// How many clients may wait to be accepted.
const BACKLOG: i32 = 16;

/// A socket that is listened on; its file goes with the value.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    _lock: File,
}

impl Socket {
    /// Opens the socket at `path` with mode 0600. A file of a process that is gone is replaced.
    /// Runs inside a runtime.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.as_os_str().len() > LONGEST {
            return Err(Error::TooLong(path.to_owned()));
        }
        let failed = |source| Error::Open {
            path: path.to_owned(),
            source,
        };
        // The lock ends with its process however that ends, which a file does not.
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

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn accept(&self) -> io::Result<tokio::net::UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The lock file stays where it is: one that is removed could be locked twice.
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

/// Removes the socket of a process that is gone; leaves all else alone.
fn clear(path: &Path) -> Result<(), Error> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(Error::NotASocket(path.to_owned()));
    }
    // Whoever listens here does not know of the lock.
    if UnixStream::connect(path).is_ok() {
        return Err(Error::InUse(path.to_owned()));
    }
    fs::remove_file(path).map_err(|source| Error::Open {
        path: path.to_owned(),
        source,
    })
}

/// The file takes the mode that its socket has when it is bound, so nobody else ever gets in.
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
    async fn the_socket_is_private_and_goes_with_its_owner() {
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
    async fn a_file_that_nobody_listens_on_is_replaced() {
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
    async fn what_is_no_socket_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        let error = Socket::open(&path).unwrap_err();
        assert!(error.to_string().contains("is no socket; remove it"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_path_that_does_not_fit_is_told_with_its_length() {
        let path = PathBuf::from(format!("/{}", "x".repeat(107)));
        let error = Socket::open(&path).unwrap_err().to_string();
        assert!(error.contains("has 108 bytes"), "{error}");
        assert!(error.contains("no more than 107"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let room = LONGEST - dir.path().as_os_str().len() - 1;
        Socket::open(&dir.path().join("x".repeat(room))).unwrap();
    }
}
