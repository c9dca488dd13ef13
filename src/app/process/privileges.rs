//! Privileges of the process: it gives those of root up once it listens, and never writes keys into a core dump.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::Path;

use nix::unistd::{Uid, User, initgroups, setgid, setuid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tracing::{info, warn};

use crate::config::Config;

/// Keeps the system from writing the memory of this process to disk, and other processes of its user from reading it.
pub(in crate::app) fn disable_core_dumps() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!(%error, "core dumps cannot be turned off; a dump would hold private keys");
    }
}

/// Reasons why the process cannot become another user.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// There is no such user.
    #[error(
        "this machine has no user `{0}`; create it (useradd --system {0}), or name another one in `user`"
    )]
    Unknown(String),
    /// This process may not become another user.
    #[error(
        "the proxy can become the user `{0}` only if root starts it; start it as root, or remove `user` and start it as that user"
    )]
    NotRoot(String),
    /// The user is root, who gives nothing up.
    #[error("`user` is `{0}`, which has all privileges; name a user without any, or remove `user`")]
    IsRoot(String),
    /// The system refuses.
    #[error("the proxy cannot become the user `{user}`: {source}")]
    System {
        /// The user.
        user: String,
        /// The system's error.
        source: io::Error,
    },
}

/// Makes the process the configured user for good, if there is one. A data directory that does not exist is made for it.
pub(in crate::app) fn drop_to(config: &Config) -> Result<(), PrivilegeError> {
    if let Some(name) = &config.user {
        become_user(name, config.storage.directory())?;
        // The change of the user may have turned them on.
        disable_core_dumps();
    }
    Ok(())
}

fn become_user(name: &str, data: &Path) -> Result<(), PrivilegeError> {
    let failed = |source: io::Error| PrivilegeError::System {
        user: name.to_owned(),
        source,
    };
    let found = User::from_name(name).map_err(|error| failed(error.into()))?;
    let user = found.ok_or_else(|| PrivilegeError::Unknown(name.to_owned()))?;
    if user.uid.is_root() {
        return Err(PrivilegeError::IsRoot(name.to_owned()));
    }
    if Uid::effective() == user.uid {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        return Err(PrivilegeError::NotRoot(name.to_owned()));
    }
    create_for(data, &user).map_err(failed)?;
    let groups_of = CString::new(name).map_err(|error| failed(error.into()))?;
    // In this order: without the privileges of root, the groups could no longer be changed.
    initgroups(&groups_of, user.gid)
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .map_err(|error| failed(error.into()))?;
    info!(user = name, "privileges dropped");
    Ok(())
}

/// Creates the data directory for `user` if it does not exist. One that exists keeps its owner.
fn create_for(data: &Path, user: &User) -> io::Result<()> {
    if data.exists() {
        return Ok(());
    }
    if let Some(above) = data.parent() {
        fs::create_dir_all(above)?;
    }
    fs::DirBuilder::new().mode(0o700).create(data)?;
    chown(data, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}
