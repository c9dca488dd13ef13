//! Tracked tasks: the only place that spawns, the shutdown signal, and the drain with a deadline. Knows no room.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// A group of tasks that are stopped together and drained together. Clones are the same group.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    /// The trackers of this group and of its branches.
    trackers: Arc<Mutex<Vec<TaskTracker>>>,
    shutdown: Shutdown,
    home: Option<Handle>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// Creates a group without tasks.
    #[must_use]
    pub fn new() -> Self {
        let tracker = TaskTracker::new();
        Self {
            trackers: Arc::new(Mutex::new(vec![tracker.clone()])),
            tracker,
            shutdown: Shutdown::default(),
            home: None,
        }
    }

    /// Creates a group whose tasks run on the current runtime, wherever they are spawned from.
    #[must_use]
    pub fn at_home() -> Self {
        Self {
            home: Some(Handle::current()),
            ..Self::new()
        }
    }

    /// Creates a part of this group with a counter of its own, so that cores which spawn a task for each request do not
    /// write to a common counter. It stops and drains with the group.
    #[must_use]
    pub fn branch(&self) -> Self {
        let branch = Self {
            tracker: TaskTracker::new(),
            ..self.clone()
        };
        self.trackers.lock().push(branch.tracker.clone());
        branch
    }

    /// Runs `future` to its end, or until the runtime ends.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match &self.home {
            Some(home) => self.tracker.spawn_on(future, home),
            None => self.tracker.spawn(future),
        }
    }

    /// Runs `future` on the given runtime.
    pub fn spawn_on<F>(&self, future: F, runtime: &Handle) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(future, runtime)
    }

    /// Returns the shutdown signal of the group.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Asks the tasks to stop. They finish what they are doing.
    pub fn stop(&self) {
        self.shutdown.request();
    }

    /// Asks the tasks to stop as [`stop`](Self::stop) does. Those whose clients would come back at once may leave at different
    /// moments within `span`.
    pub fn stop_within(&self, span: Duration) {
        self.shutdown.0.span.store(millis(span), Ordering::Release);
        self.stop();
    }

    /// Returns the number of running tasks in the whole group.
    #[must_use]
    pub fn len(&self) -> usize {
        self.trackers.lock().iter().map(TaskTracker::len).sum()
    }

    /// `true` if no task runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stops the group, waits up to `grace` for its tasks, and returns the number of those that still run. They end with the
    /// runtime.
    pub async fn drain(&self, grace: Duration) -> usize {
        self.stop();
        let over = async {
            // Again, since the last task of one tracker may have spawned a task of another.
            while !self.is_empty() {
                let trackers = self.trackers.lock().clone();
                for tracker in trackers {
                    tracker.close();
                    tracker.wait().await;
                }
            }
        };
        match tokio::time::timeout(grace, over).await {
            Ok(()) => 0,
            Err(_) => self.len(),
        }
    }
}

/// The shutdown signal of a group. Checking it costs one read of memory that is written only once, so every request can
/// afford it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<Signal>);

#[derive(Debug, Default)]
struct Signal {
    is_requested: AtomicBool,
    /// Time over which tasks may leave, in milliseconds.
    span: AtomicU64,
    requested: Arc<Notify>,
}

impl Shutdown {
    fn request(&self) {
        self.0.is_requested.store(true, Ordering::Release);
        self.0.requested.notify_waiters();
    }

    /// Waits until the group is asked to stop. Cancel safe.
    pub async fn requested(&self) {
        let notified = self.notified();
        if !self.is_requested() {
            notified.await;
        }
    }

    /// Returns the time over which tasks may leave, once the group is asked to stop. It is zero if all have to leave at once.
    #[must_use]
    pub fn span(&self) -> Duration {
        Duration::from_millis(self.0.span.load(Ordering::Acquire))
    }

    /// Waits until the group is asked to stop, and then until a moment of this task's own within [`span`](Self::span). Cancel
    /// safe, but a later call waits for another moment.
    pub async fn turn(&self) {
        self.requested().await;
        let span = self.span();
        if !span.is_zero() {
            tokio::time::sleep(span.mul_f64(fastrand::f64())).await;
        }
    }

    /// Waits until the group is asked to stop, and then for `grace`, or for half of [`span`](Self::span) if that is longer.
    pub async fn overdue(&self, grace: Duration) {
        self.requested().await;
        tokio::time::sleep(grace.max(self.span() / 2)).await;
    }

    /// Completes when the group is asked to stop after this call. Check [`is_requested`](Self::is_requested) after it, not
    /// before.
    pub fn notified(&self) -> OwnedNotified {
        Arc::clone(&self.0.requested).notified_owned()
    }

    /// `true` if the group was asked to stop.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_requested.load(Ordering::Acquire)
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_heeds_the_signal_is_waited_for() {
        let tasks = Tasks::new();
        let shutdown = tasks.shutdown();
        let handle = tasks.spawn(async move { shutdown.requested().await });
        assert_eq!(tasks.drain(Duration::from_secs(30)).await, 0);
        handle.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_signal_is_not_lost_between_two_looks() {
        let tasks = Tasks::new();
        let shutdown = tasks.shutdown();
        let notified = shutdown.notified();
        tasks.stop();
        notified.await;
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test(start_paused = true)]
    async fn a_branch_stops_counts_and_drains_with_its_group() {
        let tasks = Tasks::new();
        let branch = tasks.branch();
        let (shutdown, late) = (branch.shutdown(), tasks.branch());
        branch.spawn(async move {
            shutdown.requested().await;
            late.spawn(tokio::time::sleep(Duration::from_secs(10)));
        });
        assert_eq!((tasks.len(), branch.len()), (1, 1));
        assert_eq!(tasks.drain(Duration::from_secs(30)).await, 0);
        branch.spawn(std::future::pending::<()>());
        assert_eq!(tasks.drain(Duration::from_secs(30)).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_leave_at_different_moments_within_the_span() {
        let tasks = Tasks::new();
        let start = tokio::time::Instant::now();
        let leave = |shutdown: Shutdown| async move {
            shutdown.turn().await;
            start.elapsed()
        };
        let handles: Vec<_> = (0..100)
            .map(|_| tasks.spawn(leave(tasks.shutdown())))
            .collect();
        let span = Duration::from_secs(20);
        tasks.stop_within(span);
        let mut left = Vec::new();
        for handle in handles {
            left.push(handle.await.unwrap());
        }
        left.sort();
        assert!(left[0] < span / 4 && left[99] > span / 4 * 3, "{left:?}");
        assert!(left[99] <= span + Duration::from_millis(1));
        let early = left.iter().filter(|moment| **moment < span / 2).count();
        assert!((20..80).contains(&early), "{early} of 100");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_span_tasks_leave_at_once() {
        let tasks = Tasks::new();
        let start = tokio::time::Instant::now();
        tasks.stop();
        tasks.shutdown().turn().await;
        assert!(start.elapsed() <= Duration::from_millis(1));
        tasks.shutdown().overdue(Duration::from_secs(1)).await;
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_outlast_the_grace_are_counted() {
        let tasks = Tasks::new();
        for _ in 0..2 {
            tasks.spawn(std::future::pending::<()>());
        }
        assert_eq!(tasks.drain(Duration::from_secs(30)).await, 2);
    }
}
