//! The life of a certificate: requested, issued, stored, served, renewed. Knows neither the TLS server nor HTTP requests.

mod budget;
mod certificate;
pub mod challenge;
mod clock;
mod dns;
pub mod import;
mod issuance;
pub mod issuer;
mod lru_table;
mod maintenance;
mod manager;
mod on_demand;
mod policy;
pub mod preflight;
mod public_suffix;
mod renewal;
mod secret;
mod status;
mod store;
#[cfg(test)]
pub(crate) mod troubleshooting_tests;

pub use crate::acme::{RevocationReason, UnknownReason};
pub use budget::{
    AttemptCharges, BudgetLeft, BudgetOwner, Budgets, ChargeableOrder, HoldReason, Limit,
    LimitError, Limits, OrderKind, Reach, RetryLater, Usage,
};
pub use certificate::{
    CachedCertificate, CertCache, Certificate, CertificateError, Description, Flaw, PrivateKey,
    ReadPair, TlsFiles,
};
pub use clock::Clock;
pub use dns::{Caa, CaaSet, Resolver, ResolverError, ResolverOptions, Zone, ZoneServer};
pub use issuance::{AttemptResult, Rehearsal};
pub use issuer::{IssuerOptions, KeyType};
pub use maintenance::start;
pub use manager::{
    CertEnd, CertManager, CertStats, Endangered, IssuerBudget, ManagerParts, Outcome,
    RevocationError, Revoker,
};
pub use on_demand::{Ask, AskError, Network, OnDemandOptions};
pub use policy::{Issuers, LocalNames, OnCert, Policy, Ruleset};
pub use public_suffix::Unsignable;
pub use renewal::{RenewalPlan, Window, renew_at};
pub use secret::Secret;
pub use status::{
    CertificateRefusal, Inventory, NamePage, RefusalKind, Standing, StoredCertificate,
    StoredStanding, Trigger,
};
pub use store::{Attempts, CertificateStore, Stored, TriedIssuer};
