//! Messages to the service manager, such as systemd, about this process (sd_notify(3)), and the watchdog. Without a service
//! manager, nothing is said.

use std::time::Duration;

use futures_util::future::join_all;
use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use crate::tasks::{Shutdown, Tasks};

/// Time that a drain may take beyond its limit.
const STOP_RESERVE: Duration = Duration::from_secs(20);
/// The watchdog is told this often within its interval.
const PINGS: u32 = 3;

/// Says that the proxy serves.
pub(in crate::app) async fn tell_ready() {
    tell(vec![NotifyState::Ready]).await;
}

/// Says that the configuration is being read again. [`tell_ready`] must follow, whatever the result.
pub(in crate::app) async fn tell_reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now());
    tell(states).await;
}

/// Says that the proxy stops, which may take as long as its drain.
pub(in crate::app) async fn tell_stopping(drain: Duration) {
    let most = drain.saturating_add(STOP_RESERVE).as_micros();
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    tell(vec![
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(most),
    ])
    .await;
}

/// Says that the process with this number is the proxy from now on.
pub(in crate::app) async fn tell_main_pid(pid: u32) {
    tell(vec![NotifyState::MainPid(pid)]).await;
}

async fn tell(states: Vec<NotifyState<'static>>) {
    // On a thread that may block: the service manager may be slow.
    let told = spawn_blocking(move || sd_notify::notify(&states)).await;
    if let Ok(Err(error)) = told {
        warn!(%error, "the service manager cannot be told about the proxy");
    }
}

/// Tells the watchdog of the service manager, if there is one, that the proxy lives: only while all of `workers` turn.
pub(in crate::app) async fn run_watchdog(workers: Vec<Handle>, shutdown: Shutdown) {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return;
    };
    let pause = interval / PINGS;
    let tasks = Tasks::new();
    let watch = async {
        loop {
            if all_turn(&workers, &tasks, pause).await {
                tell(vec![NotifyState::Watchdog]).await;
            } else {
                error!(
                    "a worker does not turn, so the watchdog of the service manager is not told that the proxy lives"
                );
            }
            sleep(pause).await;
        }
    };
    tokio::select! {
        () = shutdown.requested() => {}
        () = watch => {}
    }
}

/// `true` if each of the runtimes runs a task within `limit`.
async fn all_turn(workers: &[Handle], tasks: &Tasks, limit: Duration) -> bool {
    let turns = workers
        .iter()
        .map(|worker| tasks.spawn_on(async {}, worker));
    timeout(limit, join_all(turns)).await.is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// A worker that runs until its sender is dropped.
    fn worker() -> (Handle, mpsc::Sender<()>) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let (sender, end) = mpsc::channel();
        let handle = runtime.handle().clone();
        thread::spawn(move || {
            let _ = end.recv();
            runtime.shutdown_background();
        });
        (handle, sender)
    }

    #[tokio::test]
    async fn one_worker_that_is_stuck_is_noticed() {
        let ((turning, _one), (stuck, _other)) = (worker(), worker());
        let (tasks, workers) = (Tasks::new(), [turning, stuck.clone()]);
        let limit = Duration::from_millis(200);
        assert!(all_turn(&workers, &tasks, 50 * limit).await);
        let (release, wait) = mpsc::channel::<()>();
        tasks.spawn_on(async move { wait.recv() }, &stuck);
        assert!(!all_turn(&workers, &tasks, limit).await);
        drop(release);
        assert!(all_turn(&workers, &tasks, 50 * limit).await);
    }
}
