//! The trust stores of browsers: NSS databases, which `certutil` changes.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::home::Home;
use super::outcome::{Change, Failure, Outcome};
use super::root::Root;
use super::tool::{ToolError, Tools};

/// Database of Chromium in a home directory. Since version 146 it is in the data directory instead, if there is one.
const NSSDB: &str = ".pki/nssdb";

/// Database of Chromium in a data directory.
const DATA_NSSDB: &str = "pki/nssdb";

/// Folders with the applications of snap and flatpak, each of which has a home or a data directory of its own.
const APPLICATIONS: [&str; 2] = ["snap", ".var/app"];

/// Folders with profiles of Firefox in a home directory. Each profile has its own database.
const PROFILES: [&str; 3] = [
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "config/mozilla/firefox",
];

/// Finds the databases in a home directory.
pub(super) fn find(home: &Home) -> Vec<PathBuf> {
    let mut homes = vec![home.path.clone()];
    let mut found = vec![home.data.join(DATA_NSSDB)];
    for application in APPLICATIONS
        .iter()
        .flat_map(|folder| folders(&home.path.join(folder)))
    {
        // Flatpak has the home itself and `data`, snap has `current` and `common`.
        found.push(application.join("data").join(DATA_NSSDB));
        homes.extend(["", "current", "common"].map(|folder| application.join(folder)));
    }
    for home in homes {
        found.push(home.join(NSSDB));
        found.push(home.join(".local/share").join(DATA_NSSDB));
        found.extend(
            PROFILES
                .iter()
                .flat_map(|folder| folders(&home.join(folder))),
        );
    }
    found.retain(|folder| folder.join("cert9.db").is_file());
    // The same database may be found by two paths, as that of a snap's current version.
    let mut known = HashSet::new();
    found.retain(|folder| fs::canonicalize(folder).is_ok_and(|folder| known.insert(folder)));
    found
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

/// Adds the root certificate to a database or removes it.
pub(super) fn change(database: &Path, change: Change, root: &Root, tools: &Tools) -> Outcome {
    let run = |command| run(database, command, root, tools);
    let changed = match change {
        Change::Install => run("-A").map(|()| Outcome::Installed),
        Change::Remove => match run("-L") {
            Ok(()) => run("-D").map(|()| Outcome::Removed),
            Err(ToolError::Failed { .. }) => Ok(Outcome::NotInstalled),
            Err(error) => Err(error),
        },
    };
    changed
        .map_err(|error| match error {
            ToolError::Missing(_) => Failure::NoCertutil,
            error => error.into(),
        })
        .into()
}

/// Runs a command of `certutil`. Root runs it as the owner of the database, who could otherwise not use the files that it
/// creates, and could lead root elsewhere by links. That user may not read the root's file, so it is given as input.
fn run(database: &Path, command: &str, root: &Root, tools: &Tools) -> Result<(), ToolError> {
    const NAME: &str = "certutil";
    let failed = |source| ToolError::Start {
        name: NAME.to_owned(),
        source,
    };
    let mut folder = OsString::from("sql:");
    folder.push(database);
    let mut certutil = Command::new(NAME);
    certutil
        .args([command, "-d"])
        .arg(folder)
        .args(["-n", &root.name()]);
    if command == "-A" {
        let file = File::open(&root.path).map_err(failed)?;
        certutil.args(["-t", "C,,"]).stdin(file);
    } else {
        certutil.stdin(Stdio::null());
    }
    let owner = fs::metadata(database).map_err(failed)?;
    if rustix::process::geteuid().is_root() && owner.uid() != 0 {
        certutil.uid(owner.uid()).gid(owner.gid());
    }
    tools.finish(certutil)
}
