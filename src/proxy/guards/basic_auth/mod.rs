//! Basic authentication (RFC 7617): user names and passwords, verified without exhausting the machine.

mod basic_auth;
mod credential_cache;
mod credentials;
mod hashing_limit;
mod password_hash;

pub(super) use basic_auth::BasicAuth;
pub use basic_auth::{BasicAuthOptions, Realm};
pub use hashing_limit::HashingLimit;
pub use password_hash::{PasswordHash, PasswordHashError};
