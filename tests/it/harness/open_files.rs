//! The limit of open files of a running proxy.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Returns the soft and the hard limit of a process.
pub(crate) fn limits(process: Pid) -> (u64, u64) {
    let path = format!("/proc/{}/limits", process.as_raw_nonzero());
    let limits = std::fs::read_to_string(path).unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .unwrap();
    let mut limits = line.split_whitespace().map(|limit| limit.parse().unwrap());
    (limits.next().unwrap(), limits.next().unwrap())
}

/// Lets a process open hardly more files than it has open now.
pub(crate) fn exhaust(process: Pid) {
    let path = format!("/proc/{}/fd", process.as_raw_nonzero());
    let open = std::fs::read_dir(path).unwrap().count() as u64;
    let limit = Rlimit {
        current: Some(open),
        maximum: Some(limits(process).1),
    };
    prlimit(Some(process), Resource::Nofile, limit).unwrap();
}
