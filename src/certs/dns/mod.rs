//! DNS as the outside world sees it: look-ups with typed failures.

mod answer;
mod error;
mod options;
mod question;
mod resolver;

pub use answer::{Caa, CaaSet, Zone, ZoneServer};
pub use error::ResolverError;
pub use options::ResolverOptions;
pub use resolver::Resolver;
