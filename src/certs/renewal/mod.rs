//! When a certificate is renewed: pure decisions.

mod plan;
mod renew_at;

pub use plan::{RenewalPlan, Window};
pub use renew_at::renew_at;

pub(super) use plan::Followed;
