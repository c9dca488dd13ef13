//! The threads that serve requests: a single-threaded runtime on each core. A connection, its requests and the
//! connections to its backends stay on one of them, so that no request crosses from core to core.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::Handle;

use crate::tasks::Tasks;

/// The running workers.
#[derive(Debug)]
pub(super) struct Workers {
    threads: Vec<JoinHandle<()>>,
    runtimes: Vec<Handle>,
    halt: Tasks,
}

impl Workers {
    /// Returns the number of cores, which is the number of workers.
    pub(super) fn count() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// Starts a worker for each core. It runs the tasks that are spawned on its runtime.
    pub(super) fn start() -> io::Result<Self> {
        let halt = Tasks::new();
        let (mut threads, mut runtimes) = (Vec::new(), Vec::new());
        for number in 0..Self::count() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtimes.push(runtime.handle().clone());
            let halted = halt.shutdown();
            let work = move || {
                runtime.block_on(halted.requested());
                // Does not wait for blocking tasks, such as a slow name resolution.
                runtime.shutdown_background();
            };
            let name = format!("worker-{number}");
            threads.push(thread::Builder::new().name(name).spawn(work)?);
        }
        Ok(Self {
            threads,
            runtimes,
            halt,
        })
    }

    /// Returns the runtimes, one for each worker.
    pub(super) fn runtimes(&self) -> &[Handle] {
        &self.runtimes
    }

    /// Ends the workers, and drops the tasks that still run on them.
    pub(super) fn halt(self) {
        self.halt.stop();
        for thread in self.threads {
            // A worker that has panicked has also ended.
            let _ = thread.join();
        }
    }
}
