//! The resources of RFC 8555 as JSON: identifiers, problems, and all that a CA sends and receives.

mod identifier;
mod json;
mod problem;
mod resource;

pub use identifier::Identifier;
pub use problem::{Excerpt, Problem, ProblemKind, Subproblem};
pub use resource::{AuthorizationStatus, ChallengeType, Directory, Meta, OrderStatus, ResourceUrl};

pub(super) use json::{or_default, read as read_json};
pub(super) use resource::{
    AccountResource, AuthorizationResource, ChallengeResource, ChallengeStatus, OrderResource,
    Service,
};
