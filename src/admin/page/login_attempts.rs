//! Attempts to log in on the page: one of each client at a time, and none for a while after a wrong token.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use crate::admin::connection::{ClientPlace, ClientPlaces};
use crate::log_limit::LogLimit;
use crate::proxy::ClientKey;
use crate::tasks::Tasks;

/// Time until a wrong token is answered, and until its client may try again.
pub(super) const DELAY: Duration = Duration::from_secs(1);
/// Least time between two lines about wrong tokens.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Attempts to log in. Whoever guesses tokens waits for each answer, keeps nobody else waiting, and is logged.
#[derive(Debug)]
pub(super) struct LoginAttempts {
    clients: ClientPlaces,
    log_limit: LogLimit,
    tasks: Tasks,
}

/// An attempt of one client, whose token was not looked at yet.
#[derive(Debug)]
pub(super) struct LoginAttempt {
    client: IpAddr,
    place: ClientPlace,
}

impl LoginAttempts {
    /// No attempts yet. What is left of a delay when its client leaves runs in one of `tasks`.
    pub(super) fn new(tasks: Tasks) -> Self {
        Self {
            clients: ClientPlaces::new(1),
            log_limit: LogLimit::every(LINE_EVERY),
            tasks,
        }
    }

    /// Begins an attempt. `None` if another one of the client is under way, or has failed a moment ago.
    pub(super) fn begin(&self, client: IpAddr) -> Option<LoginAttempt> {
        let place = self.clients.take(ClientKey::of(client))?;
        Some(LoginAttempt { client, place })
    }

    /// Ends an attempt with a wrong token. Waits until it may be answered; the client must wait as long if it leaves.
    pub(super) async fn fail(&self, attempt: LoginAttempt) {
        let LoginAttempt { client, place } = attempt;
        if let Some(attempts) = self.log_limit.count() {
            warn!(%client, attempts, "wrong token on the status page");
        }
        let shutdown = self.tasks.shutdown();
        let delay = self.tasks.spawn(async move {
            tokio::select! {
                () = sleep(DELAY) => {}
                () = shutdown.requested() => {}
            }
            drop(place);
        });
        // It does not panic.
        let _ = delay.await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::Instant;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_token_is_answered_late_and_keeps_nobody_else_waiting() {
        let attempts = LoginAttempts::new(Tasks::new());
        let one = ip("192.0.2.1");
        let began = Instant::now();
        let wrong = attempts.fail(attempts.begin(one).unwrap());
        tokio::pin!(wrong);
        assert!(wrong.as_mut().now_or_never().is_none());

        // Its client may not guess on meanwhile; others may log in.
        assert!(attempts.begin(one).is_none());
        let right = attempts.begin(ip("192.0.2.2")).unwrap();
        drop(right);
        assert!(attempts.begin(ip("192.0.2.2")).is_some());

        wrong.await;
        assert_eq!(began.elapsed(), DELAY);
        assert!(attempts.begin(one).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_before_the_answer_must_wait_too() {
        let attempts = LoginAttempts::new(Tasks::new());
        let one = ip("192.0.2.1");
        // Given a client that has left while it waited.
        let wrong = attempts.fail(attempts.begin(one).unwrap());
        assert!(wrong.now_or_never().is_none());

        sleep(DELAY / 2).await;
        assert!(attempts.begin(one).is_none());
        sleep(DELAY).await;
        assert!(attempts.begin(one).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_tokens_are_one_line_a_minute() {
        let attempts = LoginAttempts::new(Tasks::new());
        let mut lines = Vec::new();
        for _ in 0..61 {
            lines.extend(attempts.log_limit.count());
            sleep(DELAY).await;
        }
        assert_eq!(lines, [1, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_page_waits_for_no_delay() {
        let tasks = Tasks::new();
        let attempts = LoginAttempts::new(tasks.clone());
        let began = Instant::now();
        tasks.stop();
        attempts.fail(attempts.begin(ip("::1")).unwrap()).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
