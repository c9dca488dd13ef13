//! A client of RFC 8555: account, order, authorization, challenge, certificate. Knows no storage, no TLS server and no
//! configuration, and spawns nothing: the caller owns every wait.
//!
//! ```text
//! key_change, revocation, chain -> { account, order }
//! renewal_info -> client
//! order -> authorization -> challenge -> account -> client -> { response, nonce, jws } -> { resource, error }
//! ```

mod account;
mod authorization;
mod blame;
mod certificate_key;
mod chain;
mod challenge;
mod client;
mod error;
mod excerpt;
mod external_account;
mod jws;
mod key_change;
mod link;
mod missing_record;
mod nonce;
mod options;
mod order;
mod persistent_record;
mod poll;
mod problem;
mod renewal_info;
mod resource;
mod response;
mod revocation;
mod root_cause;
mod step;
mod verdict;

pub use account::Account;
pub use blame::Blame;
pub use certificate_key::CertificateKey;
pub use challenge::{KeyAuthorization, Presented, Solver, SolverError};
pub use client::Client;
pub use error::Error;
pub use excerpt::Excerpt;
pub use external_account::ExternalAccount;
pub use jws::AccountKey;
pub use options::Options;
pub use order::{NewOrder, Order};
pub use persistent_record::PersistentRecord;
pub use problem::{Problem, ProblemKind, Subproblem};
pub use renewal_info::{CertId, RenewalInfo};
pub use resource::{
    AuthorizationStatus, ChallengeType, Directory, Identifier, Meta, OrderStatus, ResourceUrl,
};
pub use revocation::{RevocationReason, UnknownReason};
pub use step::Step;
