//! What the system tells of a process (proc_pid_status(5)).

use rustix::process::Pid;

use crate::harness::proxy::Proxy;

/// Returns the values of a key such as `Uid:`.
pub(crate) fn values(pid: Pid, key: &str) -> Vec<String> {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Returns an amount of memory.
pub(crate) fn kilobytes(pid: Pid, key: &str) -> u64 {
    values(pid, key)[0].parse().unwrap()
}

impl Proxy {
    /// Resident memory of the process in KiB.
    pub(crate) fn memory(&self) -> u64 {
        kilobytes(self.pid(), "VmRSS:")
    }

    /// Largest resident memory that the process has had, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        kilobytes(self.pid(), "VmHWM:")
    }
}
