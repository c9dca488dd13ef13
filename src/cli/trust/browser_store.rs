//! The trust stores of browsers: NSS databases, which `certutil` changes.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::outcome::{Change, Failure, Outcome};
use super::root::Root;
use super::tool::{ToolError, Tools};

/// Databases of Chromium.
const SHARED: [&str; 2] = [".pki/nssdb", "snap/chromium/current/.pki/nssdb"];

/// Folders with profiles of Firefox, each of which has its own database.
const PROFILES: [&str; 4] = [
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
];

/// Finds the databases in a home directory.
pub(super) fn find(home: &Path) -> Vec<PathBuf> {
    let profiles = PROFILES
        .iter()
        .flat_map(|folder| folders(&home.join(folder)));
    let shared = SHARED.iter().map(|folder| home.join(folder));
    let is_database = |folder: &PathBuf| folder.join("cert9.db").is_file();
    shared.chain(profiles).filter(is_database).collect()
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

/// Adds the root certificate to a database or removes it.
pub(super) fn change(database: &Path, change: Change, root: &Root, tools: &Tools) -> Outcome {
    let run = |command: &str, more: &[OsString]| {
        let mut folder = OsString::from("sql:");
        folder.push(database);
        let common = [
            command.into(),
            "-d".into(),
            folder,
            "-n".into(),
            root.name().into(),
        ];
        tools.run("certutil", &[&common, more].concat())
    };
    let changed = match change {
        Change::Install => {
            let more = ["-t", "C,,", "-i"].map(OsString::from);
            let file = root.path.clone().into_os_string();
            run("-A", &[&more[..], &[file]].concat()).map(|()| Outcome::Installed)
        }
        Change::Remove => match run("-L", &[]) {
            Ok(()) => run("-D", &[]).map(|()| Outcome::Removed),
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
