//! Budgets of orders at a CA, below the limits of the CA, and pauses that a CA asks for. Both survive restarts.

mod books;
mod budgets;
mod held;
mod ledger;
mod limits;
mod payment_error;
mod purchase;
mod scope;
mod spending;
mod usage;

pub use budgets::Budgets;
pub use held::Held;
pub use limits::{Limit, Limits};
pub use payment_error::PaymentError;
pub use purchase::{OrderKind, Purchase};
pub use spending::Spending;
pub use usage::{Reach, RetryLater, Usage};

pub(super) use budgets::spread;
