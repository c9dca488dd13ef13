//! The deadline of everything that a test waits for.

use std::future::Future;
use std::time::Duration;

/// Fails a test that waits for what never comes.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), what)
        .await
        .expect("what the test waits for should come soon")
}
