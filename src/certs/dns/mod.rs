//! DNS look-ups with typed failures, independent of the names that only this machine knows.

mod answer;
mod error;
mod options;
mod question;
mod resolver;

pub use answer::{Caa, CaaSet, Zone, ZoneServer};
pub use error::ResolverError;
pub use options::ResolverOptions;
pub use resolver::Resolver;
