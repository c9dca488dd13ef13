//! The life of a certificate: wanted, issued, stored, served, renewed. Knows no TLS server and no
//! request.

mod ask_answers;
mod bounded;
mod budget;
mod cache;
mod census;
mod certificate;
pub mod challenge;
mod clock;
mod description;
#[cfg(test)]
pub(crate) mod documented;
mod failures;
mod flight;
mod former;
pub mod import;
mod inventory;
mod issuance;
pub mod issuer;
mod issuer_names;
mod landing;
mod left_in_dns;
mod manager;
mod newcomers;
mod obtain;
mod on_cert;
mod on_demand;
mod operator;
mod options;
mod policy;
pub mod preflight;
mod public_name;
mod refusal;
mod renewal;
mod renewal_plan;
mod renewals;
mod resolver;
mod retry;
mod revocation;
mod rules;
mod schedule;
mod secret;
mod standing;
mod standing_sources;
mod stored;
mod survey;
mod wanted;

pub use crate::acme::{RevocationReason, UnknownReason};
pub use budget::{Budgets, Held, Limit, Limits, OrderKind, Purchase, Spending};
pub use cache::CertCache;
pub use census::Census;
pub use certificate::{Certificate, CertificateError};
pub use clock::Clock;
pub use description::Description;
pub use inventory::{Inventory, Kept, NamePage};
pub use manager::{CertManager, ManagerParts};
pub use newcomers::Network;
pub use on_cert::OnCert;
pub use on_demand::{Ask, AskError};
pub use options::{IssuerOptions, KeyType, OnDemandOptions, TlsFiles};
pub use policy::{Issuers, Policy};
pub use public_name::Unsignable;
pub use refusal::Refusal;
pub use renewal::renew_at;
pub use renewal_plan::{RenewalPlan, Window};
pub use resolver::{
    Caa, CaaSet, NameServer, Resolver, ResolverError, ResolverOptions, Zone, ZoneServer,
};
pub use revocation::{RevocationError, Revoker};
pub use rules::Rules;
pub use secret::Secret;
pub use standing::{Because, Occasion, Standing};
pub use standing_sources::StandingSources;
pub use stored::{Attempts, Records, Stored, Trial};
