//! The time at which a certificate is renewed: pure functions of its lifetime and the CA's renewal window. The CA is asked
//! for its window in `issuance/renewal_plans`, and `maintenance/scheduler` waits for the time.

mod renew_at;
mod renewal_plan;

pub use renew_at::renew_at;
pub use renewal_plan::{RenewalPlan, Window};

pub(super) use renewal_plan::WindowChange;
