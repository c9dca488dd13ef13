//! The rules: which names may have a certificate, who signs it, and which command runs afterwards.

mod local_names;
mod on_cert;
mod policy;
mod ruleset;

pub use local_names::LocalNames;
pub use on_cert::OnCert;
pub use policy::{Issuers, Policy};
pub use ruleset::Ruleset;

pub(super) use ruleset::AppliedPolicy;
