//! Budgets of orders at a CA, below the limits of the CA, and pauses that a CA asks for. Both survive restarts.

mod attempt_charges;
mod budget_left;
mod budgets;
mod chargeable_order;
mod hold_reason;
mod limits;
mod rate_limiter;
mod scope;
mod sliding_window;

pub use attempt_charges::AttemptCharges;
pub use budget_left::{BudgetLeft, BudgetOwner};
pub use budgets::Budgets;
pub use chargeable_order::{ChargeableOrder, OrderKind, Reach, RetryLater, Usage};
pub use hold_reason::{HoldReason, LimitError};
pub use limits::{Limit, Limits};

pub(super) use budgets::spread;
