//! What may be asked of a CA: budgets below its limits, and its own word that it wants to be left
//! alone. Both survive restarts.

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
