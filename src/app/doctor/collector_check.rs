//! Check of the collector of traces: whether it takes them.

use crate::admin::CheckResult;
use crate::traces::{TraceOptions, contact};

/// The word for the result.
pub(super) const CHECK: &str = "collector";

/// Sends the collector a message without spans. Sites are served without it, so what is wrong is a warning.
pub(super) async fn takes(options: &TraceOptions) -> CheckResult {
    match contact(options).await {
        Ok(url) => CheckResult::ok(CHECK, format!("the collector at {url} takes traces")),
        Err(error) => CheckResult::warn(CHECK, error),
    }
}
