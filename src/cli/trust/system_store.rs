//! The roots that the system's programs trust: a folder of files and a program that makes bundles of them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::outcome::{Change, Failure, Outcome};
use super::root::Root;
use super::tool::Tools;

/// How one family of systems does it.
#[derive(Debug)]
struct Layout {
    folder: &'static str,
    install: &'static [&'static str],
    remove: &'static [&'static str],
}

const LAYOUTS: [Layout; 4] = [
    // Fedora, RHEL and their kin.
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

/// The store of this machine.
#[derive(Debug)]
pub(super) struct SystemStore {
    folder: PathBuf,
    layout: &'static Layout,
}

impl SystemStore {
    /// The first layout whose folder is there.
    pub(super) fn find(root: &Path) -> Option<Self> {
        LAYOUTS.iter().find_map(|layout| {
            let folder = root.join(layout.folder);
            folder.is_dir().then_some(Self { folder, layout })
        })
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts the root in or takes it out; `sudo` is the command for those who may not.
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
                // What nobody made use of would be trusted at some later run of the program.
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
                return Ok(Outcome::WasNotThere);
            }
            Err(source) => return Err(failure(path, source)),
        }
        if let [program, args @ ..] = self.layout.remove {
            tools.run(program, args)?;
        }
        Ok(Outcome::Removed)
    }
}

/// Writes a file that everybody can read, whatever the umask says.
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
