//! The time at which a certificate is renewed: pure functions of its lifetime and the CA's renewal window. The CA is asked
//! for its window in `issuance/renewal_plans`, and `maintenance/scheduler` waits for the time.

mod lifetime_fraction;
mod renewal_plan;

pub use lifetime_fraction::renew_at;
pub use renewal_plan::{RenewalPlan, Window};

pub(super) use renewal_plan::WindowChange;
