//! Checks of this machine: the data directory and its disk, and the limit of open files.

use std::io;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use crate::admin::CheckResult;
use crate::app::process::open_file_limit;
use crate::app::workers::Workers;
use crate::storage::{self, FileStorage};

/// Free space below which little fits any more. A certificate takes about 10 KB, but it shares the disk with logs.
const SCARCE: u64 = 128 << 20;
/// Free space below which nothing fits soon.
const USED_UP: u64 = 8 << 20;
/// Free files below which the disk counts as full.
const FEW_FILES: u64 = 100;
/// Connections below which a busy site runs out of them.
const FEW_CONNECTIONS: usize = 1000;

/// Writes to the data directory, removes it again, and looks for the space left. Blocks.
pub(super) fn storage(directory: &Path) -> Vec<CheckResult> {
    let shown = directory.display();
    if !directory.exists() {
        return vec![creatable(directory)];
    }
    let probed = FileStorage::open(directory).and_then(|storage| storage.probe());
    let written = match probed {
        Ok(()) => CheckResult::ok("storage", format!("{shown} can be written")),
        Err(error) if error.is_disk_unwritable() => {
            let cause = cause(&error);
            CheckResult::fail(
                "storage",
                format!(
                    "nothing can be written to {shown}: {cause}; free space on its disk, or mount it writable"
                ),
            )
        }
        Err(error) => CheckResult::fail("storage", error),
    };
    [Some(written), space(directory)]
        .into_iter()
        .flatten()
        .collect()
}

fn cause(error: &storage::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

/// Checks whether the first start can create the data directory. Creates nothing.
fn creatable(directory: &Path) -> CheckResult {
    let shown = directory.display();
    let mut parents = directory.ancestors().skip(1);
    let parent = parents.find(|parent| parent.exists() || parent.as_os_str().is_empty());
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    match access(parent, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => CheckResult::ok(
            "storage",
            format!("{shown} does not exist yet; the first start creates it"),
        ),
        Err(error) => CheckResult::fail(
            "storage",
            format!(
                "{shown} does not exist, and cannot be created in {}: {}; give another directory with --storage file:DIR",
                parent.display(),
                io::Error::from(error)
            ),
        ),
    }
}

fn space(directory: &Path) -> Option<CheckResult> {
    let disk = statvfs(directory).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let shown = directory.display();
    let fix = "remove what is not needed, or give another directory with --storage file:DIR";
    // Some file systems have no fixed number of files, and say 0.
    if disk.f_files > 0 && disk.f_favail < FEW_FILES {
        let sentence = format!(
            "the disk of {shown} has room for {} more files; {fix}",
            disk.f_favail
        );
        return Some(CheckResult::fail("disk space", sentence));
    }
    let amount = amount(free);
    Some(match free {
        0..USED_UP => CheckResult::fail(
            "disk space",
            format!("the disk of {shown} is full: {amount} are free; {fix}"),
        ),
        USED_UP..SCARCE => CheckResult::warn(
            "disk space",
            format!("the disk of {shown} is nearly full: {amount} are free; {fix}"),
        ),
        _ => CheckResult::ok(
            "disk space",
            format!("{amount} are free on the disk of {shown}"),
        ),
    })
}

fn amount(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = UNITS.iter().find(|(_, size)| bytes >= *size);
    let (unit, size) = unit.copied().unwrap_or(("KiB", 1 << 10));
    format!("{} {unit}", bytes / size)
}

/// Checks how many connections fit under the limit of open files.
pub(super) fn open_files() -> CheckResult {
    let connections = open_file_limit::connections_at_most(Workers::count());
    let sentence = format!("the limit of open files allows {connections} connections");
    if connections < FEW_CONNECTIONS {
        let fix = "raise it with `LimitNOFILE=` in the systemd unit, or with `ulimit -Hn`";
        CheckResult::warn("open files", format!("{sentence}; {fix}"))
    } else {
        CheckResult::ok("open files", sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::CheckStatus;

    #[test]
    fn a_data_directory_that_does_not_exist_is_not_created() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a").join("data");
        let checks = storage(&data);
        assert_eq!(checks[0].status, CheckStatus::Ok, "{checks:?}");
        assert!(checks[0].sentence.ends_with("the first start creates it"));
        assert!(!dir.path().join("a").exists());
    }

    #[test]
    fn a_data_directory_is_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        FileStorage::open(dir.path()).unwrap();
        let checks = storage(dir.path());
        assert_eq!(checks[0].status, CheckStatus::Ok, "{checks:?}");
        assert_eq!(checks[1].check, "disk space");
        let files = std::fs::read_dir(dir.path().join("tmp")).unwrap();
        assert_eq!(files.count(), 0);
    }

    #[test]
    fn amounts_are_short() {
        for (bytes, shown) in [(0, "0 KiB"), (5 << 20, "5 MiB"), (3 << 30, "3 GiB")] {
            assert_eq!(amount(bytes), shown);
        }
    }
}
