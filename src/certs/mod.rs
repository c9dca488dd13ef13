//! The life of a certificate: wanted, issued, stored, served, renewed. Knows no TLS server and no
//! request.

mod cache;
mod certificate;
pub mod challenge;
mod clock;
pub mod issuer;
mod manager;
mod obtain;
mod on_demand;
mod options;
mod policy;
mod refusal;
mod renewal;
mod renewal_plan;
mod renewals;
mod retry;
mod schedule;
mod standing;
mod stored;
mod survey;
mod wanted;

pub use cache::CertCache;
pub use certificate::{Certificate, CertificateError};
pub use clock::Clock;
pub use manager::{CertManager, ManagerParts};
pub use on_demand::{Ask, AskError};
pub use options::{IssuerOptions, OnDemandOptions, TlsFiles};
pub use policy::{Issuers, Policy};
pub use refusal::Refusal;
pub use renewal::renew_at;
pub use renewal_plan::{RenewalPlan, Window};
pub use standing::Standing;
pub use stored::{Attempts, Records, Stored};
