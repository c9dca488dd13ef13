//! Tracked tasks: the only place that spawns, the signal to stop, and the drain with a deadline. Knows no room.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks that are told to stop together and waited for together. Clones are the same group.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Tasks {
    /// A group without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` until it ends or the group is cut. `None` is the output of a task that was cut.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let cut = self.cut.clone();
        self.tracker
            .spawn(async move { cut.run_until_cancelled_owned(future).await })
    }

    /// The signal that the group's tasks watch.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        Shutdown(self.stop.clone())
    }

    /// Asks the tasks to stop; they finish what they are at.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// How many tasks run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether no task runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Stops the group, waits for its tasks up to `grace`, cuts those that still run, and returns how many were cut.
    pub async fn drain(&self, grace: Duration) -> usize {
        self.stop();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_ok()
        {
            return 0;
        }
        let running = self.tracker.len();
        self.cut.cancel();
        self.tracker.wait().await;
        running
    }
}

/// Tells a task that its group stops.
#[derive(Clone, Debug)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Waits until the group is asked to stop. Cancel safe.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Whether the group was asked to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_heeds_the_signal_is_not_cut() {
        let tasks = Tasks::new();
        let shutdown = tasks.shutdown();
        let handle = tasks.spawn(async move { shutdown.requested().await });
        assert_eq!(tasks.drain(Duration::from_secs(30)).await, 0);
        assert_eq!(handle.await.unwrap(), Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_outlast_the_grace_are_cut_and_counted() {
        let tasks = Tasks::new();
        let stuck = [
            tasks.spawn(std::future::pending::<()>()),
            tasks.spawn(std::future::pending()),
        ];
        assert_eq!(tasks.drain(Duration::from_secs(30)).await, 2);
        for handle in stuck {
            assert_eq!(handle.await.unwrap(), None);
        }
        assert!(tasks.is_empty());
    }
}
