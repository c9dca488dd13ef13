//! The status of names: whether a certificate is served or why there is none, and an inventory of storage.

mod inventory;
mod refusal;
mod sources;
mod standing;

pub use inventory::{Inventory, NamePage, StoredCertificate};
pub use refusal::Refusal;
pub use sources::StandingSources;
pub use standing::{RefusalKind, Standing, Trigger};

pub(super) use sources::{backing_off, served, unsignable, unsignable_by_all};
