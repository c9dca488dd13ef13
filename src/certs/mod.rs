//! The life of a certificate: wanted, issued, stored, served, renewed. Knows no TLS server and no
//! request.

mod cache;
mod certificate;
pub mod challenge;
mod description;
pub mod import;
mod inventory;
mod issuance;
pub mod issuer;
mod manager;
mod obtain;
mod on_demand;
mod operator;
mod options;
mod policy;
mod refusal;
mod renewal;
mod revocation;
mod schedule;
mod standing;
mod stored;

pub use crate::acme::{RevocationReason, UnknownReason};
pub use cache::CertCache;
pub use certificate::{Certificate, CertificateError};
pub use description::Description;
pub use inventory::{Inventory, Kept, NamePage};
pub use manager::{CertManager, ManagerParts};
pub use on_demand::{Ask, AskError};
pub use options::{IssuerOptions, KeyType, OnDemandOptions, TlsFiles};
pub use policy::{Issuers, Policy};
pub use refusal::Refusal;
pub use renewal::renew_at;
pub use revocation::{RevocationError, Revoker};
pub use standing::Standing;
pub use stored::{Attempts, Records, Stored};
