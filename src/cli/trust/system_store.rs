//! The trust store of the system: a folder of root certificates, and a program that bundles them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::outcome::{Change, Failure, Outcome};
use super::root::Root;
use super::tool::Tools;

/// The folder and the programs of one family of systems.
#[derive(Debug)]
struct Layout {
    folder: &'static str,
    install: &'static [&'static str],
    remove: &'static [&'static str],
}

const LAYOUTS: [Layout; 4] = [
    // Fedora, RHEL and derivatives.
    Layout {
        folder: "etc/pki/ca-trust/source/anchors",
        install: &["update-ca-trust", "extract"],
        remove: &["update-ca-trust", "extract"],
    },
    // Arch.
    Layout {
        folder: "etc/ca-certificates/trust-source/anchors",
        install: &["trust", "extract-compat"],
        remove: &["trust", "extract-compat"],
    },
    // openSUSE.
    Layout {
        folder: "etc/pki/trust/anchors",
        install: &["update-ca-certificates"],
        remove: &["update-ca-certificates"],
    },
    // Debian, Ubuntu and Alpine. Without `--fresh` Debian leaves a dangling link.
    Layout {
        folder: "usr/local/share/ca-certificates",
        install: &["update-ca-certificates"],
        remove: &["update-ca-certificates", "--fresh"],
    },
];

/// This machine's trust store.
#[derive(Debug)]
pub(super) struct SystemStore {
    folder: PathBuf,
    layout: &'static Layout,
}

impl SystemStore {
    /// Finds the first layout whose folder exists.
    pub(super) fn find(root: &Path) -> Option<Self> {
        LAYOUTS.iter().find_map(|layout| {
            let folder = root.join(layout.folder);
            folder.is_dir().then_some(Self { folder, layout })
        })
    }

    /// Returns its folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds or removes the root certificate. `sudo` is the command to suggest if only root may.
    pub(super) fn change(&self, change: Change, root: &Root, tools: &Tools, sudo: &str) -> Outcome {
        let path = self.folder.join(root.name()).with_extension("crt");
        let changed = match change {
            Change::Install => self.install(&path, &root.pem, tools),
            Change::Remove => self.remove(&path, tools),
        };
        match changed {
            Err(Failure::File { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Outcome::Failed(Failure::NeedsRoot(sudo.to_owned()))
            }
            changed => changed.into(),
        }
    }

    fn install(&self, path: &Path, pem: &[u8], tools: &Tools) -> Result<Outcome, Failure> {
        let is_new = !path.exists();
        write(path, pem).map_err(|source| failure(path, source))?;
        let [program, args @ ..] = self.layout.install else {
            return Ok(Outcome::Installed);
        };
        match tools.run(program, args) {
            Ok(()) => Ok(Outcome::Installed),
            Err(error) => {
                // A file left behind would be trusted at some later run of the program.
                if is_new {
                    let _ = fs::remove_file(path);
                }
                Err(error.into())
            }
        }
    }

    fn remove(&self, path: &Path, tools: &Tools) -> Result<Outcome, Failure> {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Outcome::NotInstalled);
            }
            Err(source) => return Err(failure(path, source)),
        }
        if let [program, args @ ..] = self.layout.remove {
            tools.run(program, args)?;
        }
        Ok(Outcome::Removed)
    }
}

/// Writes a file that every user can read, whatever the umask.
fn write(path: &Path, pem: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(pem)?;
    file.sync_all()
}

fn failure(path: &Path, source: io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        source,
    }
}
