//! The time limit for everything that a test waits for.

use std::future::Future;
use std::time::Duration;

/// Waits for `what`; fails the test if that takes more than thirty seconds.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), what)
        .await
        .expect("what the test waits for should come soon")
}
