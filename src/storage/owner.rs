//! The owner of a data directory, which root keeps when it writes there: the proxy's own user must read the files later.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Uid, chownat, fstat};

/// User and group that own what root creates.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// Returns the owner of a folder. `None` if this process is not root, or root owns the folder.
    pub fn of(folder: &Path) -> io::Result<Option<Self>> {
        let meta = fs::metadata(folder)?;
        let owner = Self {
            user: meta.uid(),
            group: meta.gid(),
        };
        Ok((rustix::process::geteuid().is_root() && owner.user != 0).then_some(owner))
    }

    /// Takes a file or a folder that was just created.
    pub fn take(self, created: &File) -> io::Result<()> {
        fchown(created, Some(self.user), Some(self.group))
    }

    /// Takes a unix socket that was just created, which is opened only as a path. Fails on any other file, and on a socket that
    /// has another name too, since the owner of the folder may have laid those there.
    pub fn take_socket(self, created: &OwnedFd) -> io::Result<()> {
        let found = fstat(created)?;
        let is_socket = FileType::from_raw_mode(found.st_mode) == FileType::Socket;
        if !is_socket || found.st_nlink != 1 || found.st_uid != 0 {
            return Err(io::Error::other("another file was put in its place"));
        }
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        let flags = AtFlags::EMPTY_PATH;
        Ok(chownat(created, "", Some(user), Some(group), flags)?)
    }
}
