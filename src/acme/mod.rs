//! A client of RFC 8555: account, order, authorization, challenge, certificate. Knows no storage, no TLS server and no
//! configuration, and spawns nothing: the caller owns every wait.
//!
//! ```text
//! revocation, order -> account -> client -> jws -> error -> resource
//! order -> renewal_info -> client
//! ```

mod account;
mod client;
mod error;
mod jws;
mod order;
mod renewal_info;
mod resource;
mod revocation;

pub use account::Account;
pub use client::{Client, ClockSkew, Options};
pub use error::{Blame, Error, SolverError, Step};
pub use jws::{AccountKey, CertificateKey, ExternalAccount};
pub use order::{DnsPersistRecord, KeyAuthorization, NewOrder, Order, Presented, Solver};
pub use renewal_info::{CertId, RenewalInfo};
pub use resource::{
    AuthorizationStatus, ChallengeType, Directory, Excerpt, Identifier, Meta, OrderStatus, Problem,
    ProblemKind, ResourceUrl, Subproblem,
};
pub use revocation::{RevocationReason, UnknownReason};
