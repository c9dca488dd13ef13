//! How the backends of an upstream share its requests: whose turn it is, who is kept to one backend, and who may not have
//! a request now.

mod balancer;
mod choice;
mod options;
mod rendezvous;
mod sticky;
mod turns;

pub use balancer::{Balancer, BalancerError};
pub use options::{Balancing, CookieKey, HealthOptions, Share, StatusRange, StatusRangeError};
pub use sticky::is_cookie_name;

pub(super) use choice::Choice;
pub(super) use rendezvous::seed;
pub(super) use sticky::Sticky;
pub(super) use turns::Turns;
