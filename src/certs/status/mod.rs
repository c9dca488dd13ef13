//! What stands between a name and its certificate, and what is stored.

mod inventory;
mod refusal;
mod sources;
mod standing;

pub use inventory::{Inventory, Kept, NamePage};
pub use refusal::Refusal;
pub use sources::StandingSources;
pub use standing::{Because, Occasion, Standing};

pub(super) use sources::{backing_off, served, unsignable, unsignable_by_all};
