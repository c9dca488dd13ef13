//! Access control of a site or route: client networks, passwords, forward authentication, rates, sizes and time limits.

mod admission_effects;
mod basic_auth;
mod forward_auth;
mod guards;
mod hsts;
mod networks;
mod options;
mod rate_limit;
mod size_limits;

pub(super) use admission_effects::AdmissionEffects;
pub use basic_auth::{BasicAuthOptions, HashingLimit, PasswordHash, PasswordHashError, Realm};
pub use forward_auth::ForwardAuthOptions;
pub(super) use guards::GuardOutcome;
pub use guards::Guards;
pub use hsts::HstsOptions;
pub use networks::{ClientNetwork, ClientNetworkError, NetworkOptions, private_networks};
pub use options::{GuardOptions, Satisfy};
pub use rate_limit::{ClientKey, RateLimitOptions, RateScope};
