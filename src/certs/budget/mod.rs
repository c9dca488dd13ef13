//! What may be asked of a CA: budgets below its limits, and its own word that it wants to be left
//! alone. Both survive restarts.

mod budgets;
mod held;
mod ledger;
mod limits;
mod scope;
mod spending;

pub use budgets::{Budgets, OrderKind, Purchase};
pub use held::Held;
pub use limits::{Limit, Limits};
pub use spending::Spending;

pub(super) use budgets::spread;
