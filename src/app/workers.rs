//! The threads that serve requests: a single-threaded runtime on each core. A connection, its requests and the
//! connections to its backends stay on one of them, so that no request crosses from core to core.

use std::future::Future;
use std::io;
use std::thread::{self, JoinHandle};

use crate::tasks::Tasks;

/// Running workers. They end with what still runs on them when they are halted.
#[derive(Debug)]
pub(super) struct Workers {
    threads: Vec<JoinHandle<()>>,
    halt: Tasks,
}

impl Workers {
    /// How many cores there are to work on.
    pub(super) fn count() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// Starts a worker for each of `doors`, which it runs among `tasks`.
    pub(super) fn start<D>(doors: Vec<D>, tasks: &Tasks) -> io::Result<Self>
    where
        D: Future<Output = ()> + Send + 'static,
    {
        let halt = Tasks::new();
        let mut threads = Vec::with_capacity(doors.len());
        for (number, door) in doors.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (tasks, halted) = (tasks.clone(), halt.shutdown());
            let work = move || {
                runtime.block_on(async move {
                    tasks.spawn(door);
                    halted.requested().await;
                });
                // A name that is still being resolved keeps nobody waiting.
                runtime.shutdown_background();
            };
            let name = format!("worker-{number}");
            threads.push(thread::Builder::new().name(name).spawn(work)?);
        }
        Ok(Self { threads, halt })
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
