//! Findings of `proxy doctor` and `proxy rehearse`, as the admin socket and the command line tell them.

mod check_report;
mod rehearsal_request;

pub use check_report::{CheckReport, CheckResult, CheckStatus};
pub use rehearsal_request::{RehearsalCa, RehearsalRequest};

pub(super) use check_report::CheckRequest;
