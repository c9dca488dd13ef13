//! Which names may have a certificate, who signs, and what follows.

mod on_cert;
mod policy;
mod ruleset;

pub use on_cert::OnCert;
pub use policy::{Issuers, Policy};
pub use ruleset::Ruleset;

pub(super) use ruleset::AppliedPolicy;
