//! Processes that replace a proxy, which are not children of the test.

use rustix::process::{Pid, Signal, kill_process};

/// Processes that have replaced a proxy. They end with this value.
#[derive(Default)]
pub(crate) struct Successors(Vec<Pid>);

impl Successors {
    pub(crate) fn add(&mut self, pid: Pid) {
        self.0.push(pid);
    }
}

impl Drop for Successors {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = kill_process(*pid, Signal::KILL);
        }
    }
}
