//! The problems of a configuration, each with its location and its fix, and the origin of each value.

mod balancing_problem;
mod diagnostic;
mod dns_challenge_problem;
mod error;
mod file_places;
mod guard_problem;
mod listener_problem;
mod origin;
mod problem;
mod report;
mod syntax;
mod tracing_problem;

pub(crate) use balancing_problem::{BalancingProblem, SHORTEST_KEY};
pub use diagnostic::Diagnostic;
pub(crate) use diagnostic::Location;
pub(crate) use dns_challenge_problem::DnsChallengeProblem;
pub use error::Error;
pub use file_places::FilePlaces;
pub(crate) use guard_problem::GuardProblem;
pub(crate) use listener_problem::ListenerProblem;
pub use origin::{Origin, Origins};
pub(crate) use problem::Problem;
pub(crate) use report::Report;
pub(crate) use tracing_problem::TracingProblem;
