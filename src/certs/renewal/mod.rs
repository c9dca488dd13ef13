//! The time at which a certificate is renewed: pure functions of its lifetime and the CA's renewal window.

mod plan;
mod renew_at;

pub use plan::{RenewalPlan, Window};
pub use renew_at::renew_at;

pub(super) use plan::WindowChange;
