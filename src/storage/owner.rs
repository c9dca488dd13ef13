//! The owner of a data directory, which root keeps when it writes there: the proxy's own user must read the files later.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
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

    /// Takes a file or a folder that was just created.
    pub(super) fn take(self, created: &File) -> io::Result<()> {
        fchown(created, Some(self.user), Some(self.group))
    }
}
