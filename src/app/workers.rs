//! The threads that serve requests: a single-threaded runtime on each core. A connection, its requests and the
//! connections to its backends stay on one of them, so that no request crosses from core to core.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::Handle;

use crate::tasks::Tasks;

/// Running workers. They end with what still runs on them when they are halted.
#[derive(Debug)]
pub(super) struct Workers {
    threads: Vec<JoinHandle<()>>,
    runtimes: Vec<Handle>,
    halt: Tasks,
}

impl Workers {
    /// How many cores there are to work on.
    pub(super) fn count() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// Starts a worker for each core, which runs what is spawned on its runtime.
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
                // A name that is still being resolved keeps nobody waiting.
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

    /// The runtimes, one a worker.
    pub(super) fn runtimes(&self) -> &[Handle] {
        &self.runtimes
    }

    /// Ends the workers and cuts what still runs on them.
    pub(super) fn halt(self) {
        self.halt.stop();
        for thread in self.threads {
            // A worker that panicked has ended too.
            let _ = thread.join();
        }
    }
}
