//! The default data directory.

use std::ffi::OsString;
use std::path::PathBuf;

/// The facts about the process that determine the data directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessEnvironment {
    state_directory: Option<OsString>,
    xdg_data_home: Option<OsString>,
    home: Option<OsString>,
    is_root: bool,
}

impl ProcessEnvironment {
    pub(crate) fn of_process() -> Self {
        Self {
            state_directory: std::env::var_os("STATE_DIRECTORY"),
            xdg_data_home: std::env::var_os("XDG_DATA_HOME"),
            home: std::env::var_os("HOME"),
            is_root: rustix::process::geteuid().is_root(),
        }
    }

    /// Returns the first of: systemd's state directory, `/var/lib/proxy` for root, `proxy` in the user's data directory.
    pub(crate) fn data_directory(&self) -> Option<PathBuf> {
        let first_state = self
            .state_directory
            .as_ref()
            .and_then(|value| std::env::split_paths(value).next());
        let root = || self.is_root.then(|| PathBuf::from("/var/lib/proxy"));
        let user = || {
            absolute(self.xdg_data_home.as_ref())
                .or_else(|| absolute(self.home.as_ref()).map(|home| home.join(".local/share")))
                .map(|data| data.join("proxy"))
        };
        absolute(first_state.map(PathBuf::into_os_string).as_ref())
            .or_else(root)
            .or_else(user)
    }
}

/// Ignores relative paths, as the XDG base directory specification requires.
fn absolute(value: Option<&OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(value: &str) -> Option<OsString> {
        Some(value.into())
    }

    #[test]
    fn the_data_directory_depends_on_the_process_environment() {
        let user = ProcessEnvironment {
            home: set("/home/ann"),
            ..ProcessEnvironment::default()
        };
        let with_xdg = ProcessEnvironment {
            xdg_data_home: set("/data"),
            ..user.clone()
        };
        let relative_xdg = ProcessEnvironment {
            xdg_data_home: set("data"),
            ..user.clone()
        };
        let root = ProcessEnvironment {
            is_root: true,
            ..with_xdg.clone()
        };
        let service = ProcessEnvironment {
            state_directory: set("/var/lib/private/web:/other"),
            ..root.clone()
        };
        for (environment, directory) in [
            (ProcessEnvironment::default(), None),
            (user, Some("/home/ann/.local/share/proxy")),
            (with_xdg, Some("/data/proxy")),
            (relative_xdg, Some("/home/ann/.local/share/proxy")),
            (root, Some("/var/lib/proxy")),
            (service, Some("/var/lib/private/web")),
        ] {
            assert_eq!(environment.data_directory(), directory.map(PathBuf::from));
        }
    }
}
