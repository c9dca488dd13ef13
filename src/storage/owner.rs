//! The owner of a data directory, which root keeps when it writes there: the proxy's own user must read the files later.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown, lchown};
use std::path::Path;

/// User and group that own what root creates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// Returns the owner of a folder. `None` if this process is not root, or root owns the folder.
    pub(super) fn of(folder: &Path) -> io::Result<Option<Self>> {
        let meta = fs::metadata(folder)?;
        let owner = Self {
            user: meta.uid(),
            group: meta.gid(),
        };
        Ok((rustix::process::geteuid().is_root() && owner.user != 0).then_some(owner))
    }

    pub(super) fn take_file(self, file: &File) -> io::Result<()> {
        fchown(file, Some(self.user), Some(self.group))
    }

    /// Takes a new folder. A link in its place is not followed.
    pub(super) fn take_folder(self, folder: &Path) -> io::Result<()> {
        lchown(folder, Some(self.user), Some(self.group))
    }
}
