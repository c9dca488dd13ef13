//! The status of names: whether a certificate is served or why there is none, and an inventory of storage.

mod certificate_refusal;
mod inventory;
mod standing;
mod stored_standing;

pub use certificate_refusal::CertificateRefusal;
pub use inventory::{Inventory, NamePage, StoredCertificate};
pub use standing::{RefusalKind, Standing, Trigger};
pub use stored_standing::StoredStanding;

pub(super) use stored_standing::{backing_off, served, unsignable, unsignable_by_all};
