//! Access control of a site: client networks, passwords, forward authentication, rates, sizes and time limits.

mod admission;
mod basic_auth;
mod forward_auth;
mod guards;
mod options;
mod rate_limit;

pub(super) use admission::Admission;
pub use basic_auth::{BasicAuthOptions, HashingLimit, PasswordHash, PasswordHashError, Realm};
pub use forward_auth::ForwardAuthOptions;
pub(super) use guards::GuardOutcome;
pub use guards::Guards;
pub use options::{GuardOptions, HstsOptions, NetworkOptions};
pub use rate_limit::{ClientKey, RateLimitOptions, RateScope};
