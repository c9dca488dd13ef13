//! The unix socket: closed to other users from its first moment, for one process at a time, and replaced if its last process was
//! killed.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use socket2::{Domain, SockAddr, Type};
use tokio::net::{UnixListener, UnixStream};

use super::connection::Listen;
use super::error::Error;
use crate::storage::Owner;

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
    /// Opens the socket at `path` with mode 0600. Replaces the socket of a process that has ended. What is created belongs to
    /// `owner`, or to the user of the process. Needs a runtime.
    pub fn open(path: &Path, owner: Option<Owner>) -> Result<Self, Error> {
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
        let lock = match lock(path, owner) {
            Ok(lock) => lock,
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        };
        clear(path)?;
        let listener = listen(path, owner).and_then(UnixListener::from_std);
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
fn lock(path: &Path, owner: Option<Owner>) -> Result<File, TryLockError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = open_lock_file(Path::new(&name), owner).map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// Opens the lock file, and creates it if it is missing. Follows no link: the owner of the folder could have laid one that
/// leads root to another file.
fn open_lock_file(name: &Path, owner: Option<Owner>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    match options.clone().create_new(true).open(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => {
            let created = created?;
            owner.map_or(Ok(()), |owner| owner.take(&created))?;
            return Ok(created);
        }
    }
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    options.custom_flags(no_link).open(name)
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
fn listen(path: &Path, owner: Option<Owner>) -> io::Result<std::os::unix::net::UnixListener> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(0o600))?;
    let socket = socket2::Socket::from(OwnedFd::from(file));
    socket.bind(&SockAddr::unix(path)?)?;
    owner.map_or(Ok(()), |owner| give_socket(path, owner))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(OwnedFd::from(socket).into())
}

/// Gives away the socket that was just created. Does not trust its path, since the owner of the folder may have replaced it.
fn give_socket(path: &Path, owner: Owner) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = openat(CWD, path, flags, Mode::empty())?;
    owner.take_socket(&found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, chown, symlink};

    use super::*;

    /// A folder of another user, and that user. `None` if this process is not root.
    fn folder_of_another_user() -> Option<(tempfile::TempDir, Option<Owner>)> {
        let dir = tempfile::tempdir().unwrap();
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        chown(dir.path(), Some(65534), Some(65534)).unwrap();
        let owner = Owner::of(dir.path()).unwrap();
        Some((dir, owner))
    }

    #[tokio::test]
    async fn what_root_creates_belongs_to_the_owner_of_the_data_directory() {
        let Some((dir, owner)) = folder_of_another_user() else {
            return;
        };
        let path = dir.path().join("admin.sock");
        let _socket = Socket::open(&path, owner).unwrap();
        for file in ["admin.sock", "admin.sock.lock"] {
            let meta = fs::metadata(dir.path().join(file)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (65534, 65534), "{file}");
            assert_eq!(meta.mode() & 0o777, 0o600, "{file}");
        }
    }

    #[tokio::test]
    async fn a_lock_file_that_exists_keeps_its_owner_and_one_that_is_a_link_is_refused() {
        let Some((dir, owner)) = folder_of_another_user() else {
            return;
        };
        let lock = dir.path().join("admin.sock.lock");
        fs::write(&lock, "").unwrap();
        drop(Socket::open(&dir.path().join("admin.sock"), owner).unwrap());
        assert_eq!(fs::metadata(&lock).unwrap().uid(), 0);

        for target in ["precious", "missing"] {
            let target = dir.path().join(target);
            fs::remove_file(&lock).unwrap();
            symlink(&target, &lock).unwrap();
            let refused = Socket::open(&dir.path().join("admin.sock"), owner);
            assert!(matches!(refused, Err(Error::Open { .. })), "{refused:?}");
            assert!(!target.exists());
        }
    }

    #[test]
    fn only_a_socket_of_root_without_a_second_name_is_given_away() {
        let Some((dir, Some(owner))) = folder_of_another_user() else {
            return;
        };
        let (socket, link) = (dir.path().join("socket"), dir.path().join("link"));
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        symlink(&socket, &link).unwrap();
        assert!(give_socket(&file, owner).is_err());
        assert!(give_socket(&link, owner).is_err());
        fs::hard_link(&socket, dir.path().join("second")).unwrap();
        assert!(give_socket(&socket, owner).is_err());
        assert_eq!(fs::metadata(&socket).unwrap().uid(), 0);
    }

    #[tokio::test]
    async fn the_socket_is_private_and_removed_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let socket = Socket::open(&path, None).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
        Socket::open(&path, None).unwrap();
    }

    #[tokio::test]
    async fn a_socket_without_a_listener_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Socket::open(&path, None).unwrap();
    }

    #[tokio::test]
    async fn one_process_listens_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, foreign) = (dir.path().join("a"), dir.path().join("b"));
        let _socket = Socket::open(&ours, None).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&foreign).unwrap();
        for path in [ours, foreign] {
            let error = Socket::open(&path, None).unwrap_err();
            assert!(matches!(error, Error::InUse(_)), "{error}");
            assert!(path.exists());
        }
    }

    #[tokio::test]
    async fn other_files_are_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        let error = Socket::open(&path, None).unwrap_err();
        assert!(error.to_string().contains("is not a socket; remove it"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_reported_with_its_length() {
        let path = PathBuf::from(format!("/{}", "x".repeat(107)));
        let error = Socket::open(&path, None).unwrap_err().to_string();
        assert!(error.contains("has 108 bytes"), "{error}");
        assert!(error.contains("no more than 107"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let room = MAX_PATH - dir.path().as_os_str().len() - 1;
        Socket::open(&dir.path().join("x".repeat(room)), None).unwrap();
    }
}
