//! What stands before a site: who may come, how often, with how much, and for how long.

mod basic_auth;
mod client_key;
mod credentials;
mod forward_auth;
mod hsts;
mod networks;
mod options;
mod passage;
mod password;
mod rate_limit;
mod refusal;
mod set;
mod verified;
mod verifier;

pub use basic_auth::{BasicAuthOptions, Realm};
pub use client_key::ClientKey;
pub use forward_auth::ForwardAuthOptions;
pub use hsts::HstsOptions;
pub use options::{GuardOptions, NetworkOptions};
pub(super) use passage::Passage;
pub use password::{PasswordHash, PasswordHashError};
pub use rate_limit::{RateLimitOptions, RateScope};
pub use refusal::Refusal;
pub use set::Guards;
pub(super) use set::{Verdict, Visit, enter};
pub use verifier::Verifier;
