//! The unix socket: closed to other users from its first moment, for one process at a time, replaced if its last process was
//! killed, and handed over to the process that replaces this one.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};
use socket2::{Domain, SockAddr, SockRef, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;
use tracing::debug;

use super::connection::Listen;
use super::error::Error;
use crate::storage::Owner;

/// Longest path in the address of a unix socket, without the zero byte at its end.
const MAX_PATH: usize = 107;
/// Most clients that wait to be accepted.
const BACKLOG: i32 = 16;
/// Interval of attempts to take the lock from a process that hands it over.
const LOCK_RETRY: Duration = Duration::from_millis(50);

/// A listening unix socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: Arc<UnixListener>,
    path: PathBuf,
    /// `true` once another process listens on it.
    is_handed_over: Arc<AtomicBool>,
    /// `None` until the process that has handed the socket over releases the lock.
    lock: Option<File>,
}

/// The way to hand a [`Socket`] over. Does not keep it open.
#[derive(Clone, Debug)]
pub struct SocketHandover {
    listener: Weak<UnixListener>,
    is_handed_over: Arc<AtomicBool>,
}

impl SocketHandover {
    /// Opens the socket once more, for another process. `None` if it is closed.
    pub fn duplicate(&self) -> io::Result<Option<OwnedFd>> {
        let open = self.listener.upgrade();
        open.map(|socket| socket.as_fd().try_clone_to_owned())
            .transpose()
    }

    /// Leaves the file of the socket to the other process.
    pub fn complete(&self) {
        self.is_handed_over.store(true, Ordering::Release);
    }
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
            listener: Arc::new(listener.map_err(failed)?),
            path: path.to_owned(),
            is_handed_over: Arc::default(),
            lock: Some(lock),
        })
    }

    /// Takes the socket at `path` over from the process that this one replaces. `None` if it listens elsewhere. Needs a
    /// runtime.
    ///
    /// That process holds the lock until it has handed everything over. A third process finds out that somebody listens, with
    /// or without the lock.
    pub fn adopt(
        listener: std::os::unix::net::UnixListener,
        path: &Path,
    ) -> Result<Option<Self>, Error> {
        let is_there = |address: std::os::unix::net::SocketAddr| {
            address.as_pathname().is_some_and(|bound| bound == path)
        };
        if !listener.local_addr().is_ok_and(is_there) {
            return Ok(None);
        }
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| UnixListener::from_std(listener));
        let listener = listener.map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        });
        Ok(Some(Self {
            listener: Arc::new(listener?),
            path: path.to_owned(),
            is_handed_over: Arc::default(),
            lock: None,
        }))
    }

    /// Takes the lock of an adopted socket once the other process has released it, and makes this process the one that clients
    /// see at the other end.
    pub(super) async fn hold_lock(&mut self) {
        while self.lock.is_none() {
            match lock(&self.path, None) {
                Ok(lock) => self.lock = Some(lock),
                Err(TryLockError::WouldBlock) => sleep(LOCK_RETRY).await,
                Err(TryLockError::Error(error)) => {
                    debug!(%error, "the lock of the admin socket cannot be taken");
                    break;
                }
            }
        }
        // The kernel names the process that has called `listen` last (unix(7), SO_PEERCRED).
        if let Err(error) = SockRef::from(&*self.listener).listen(BACKLOG) {
            debug!(%error, "the admin socket cannot be taken over");
        }
    }

    /// Returns the way to hand the socket over.
    #[must_use]
    pub fn handover(&self) -> SocketHandover {
        SocketHandover {
            listener: Arc::downgrade(&self.listener),
            is_handed_over: Arc::clone(&self.is_handed_over),
        }
    }

    /// Returns the socket to accept on.
    pub(super) fn listener(&self) -> &Arc<UnixListener> {
        &self.listener
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Listen for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_handed_over.load(Ordering::Acquire) {
            return;
        }
        // Without the lock, the file belongs to the process that listens, which this one has failed to replace; unless that has
        // just ended.
        let late_lock = match self.lock {
            Some(_) => None,
            None => lock(&self.path, None).ok(),
        };
        if self.lock.is_some() || late_lock.is_some() {
            let _ = fs::remove_file(&self.path);
        }
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
    async fn a_socket_is_handed_over_with_its_lock_and_never_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let first = Socket::open(&path, None).unwrap();
        let handover = first.handover();
        let passed = || handover.duplicate().unwrap().unwrap().into();
        assert!(Socket::adopt(passed(), dir.path()).unwrap().is_none());
        let mut second = Socket::adopt(passed(), &path).unwrap().unwrap();
        handover.complete();
        let waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(first);
        assert!(handover.duplicate().unwrap().is_none());
        second.hold_lock().await;
        assert!(matches!(lock(&path, None), Err(TryLockError::WouldBlock)));
        second.listener.accept().await.unwrap();
        drop((waiting, second));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_process_that_fails_after_it_has_got_the_socket_leaves_it_to_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let first = Socket::open(&path, None).unwrap();
        let passed = first.handover().duplicate().unwrap().unwrap();
        drop(Socket::adopt(passed.into(), &path).unwrap().unwrap());
        let client = std::os::unix::net::UnixStream::connect(&path);
        assert!(client.is_ok());
        first.listener.accept().await.unwrap();
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
