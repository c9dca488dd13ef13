//! A client of RFC 8555: account, order, authorization, challenge, certificate. Knows no storage, no TLS server and no
//! configuration, and spawns nothing: the caller owns every wait.
//!
//! ```text
//! renewal_info -> client
//! order -> authorization -> challenge -> account -> client -> { response, nonce, jws } -> { resource, error }
//! ```

mod account;
mod authorization;
mod challenge;
mod client;
mod error;
mod excerpt;
mod jws;
mod nonce;
mod options;
mod order;
mod poll;
mod problem;
mod renewal_info;
mod resource;
mod response;
mod step;

pub use account::Account;
pub use challenge::{KeyAuthorization, Presented, Solver, SolverError};
pub use client::Client;
pub use error::Error;
pub use excerpt::Excerpt;
pub use jws::AccountKey;
pub use options::Options;
pub use order::Order;
pub use problem::{Problem, ProblemKind, Subproblem};
pub use renewal_info::{CertId, RenewalInfo};
pub use resource::{
    AuthorizationStatus, ChallengeType, Directory, Identifier, Meta, OrderStatus, ResourceUrl,
};
pub use step::Step;
