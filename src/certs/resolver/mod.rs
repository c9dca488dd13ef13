//! DNS as the outside world sees it: look-ups with typed failures.

mod answer;
mod client;
mod error;
mod options;
mod question;

pub use answer::{Caa, CaaSet, Zone, ZoneServer};
pub use client::Resolver;
pub use error::ResolverError;
pub use options::{NameServer, ResolverOptions};
