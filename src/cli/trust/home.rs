//! The home directories whose browser stores are changed: that of the user, and that of the user who called sudo.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Variables in which programs that give root's rights name the user who called them.
const CALLERS: [&str; 2] = ["SUDO_USER", "DOAS_USER"];

/// A home directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    /// The user's data directory, as in `~/.local/share`.
    pub(super) data: PathBuf,
}

impl Home {
    fn new(path: PathBuf, data: Option<OsString>) -> Self {
        let given = data.map(PathBuf::from).filter(|data| data.is_absolute());
        Self {
            data: given.unwrap_or_else(|| path.join(".local/share")),
            path,
        }
    }

    /// Finds the home directories. `root` is the folder of the system.
    pub(super) fn find_all(root: &Path) -> Vec<Self> {
        let own = std::env::home_dir().unwrap_or_default();
        let mut homes = vec![Self::new(own, std::env::var_os("XDG_DATA_HOME"))];
        let passwd = fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
        let callers = CALLERS.iter().filter_map(|name| std::env::var(name).ok());
        for path in callers.filter_map(|name| home_of(&passwd, &name)) {
            if homes.iter().all(|home| home.path != path) {
                homes.push(Self::new(path, None));
            }
        }
        homes
    }
}

/// Returns the home directory of a user in the text of `/etc/passwd`.
fn home_of(passwd: &str, user: &str) -> Option<PathBuf> {
    let mut lines = passwd.lines().map(|line| line.split(':'));
    let mut fields = lines.find_map(|mut fields| (fields.next()? == user).then_some(fields))?;
    fields.nth(4).map(PathBuf::from)
}
