//! Word to the operator: a command or a web server is told when something is badly wrong, and when it is over.

mod open_problems;
mod problem;
mod problem_watch;
mod receiver;

pub(super) use problem_watch::{ProblemWatch, WatchedConfig, WatchedUpstream};
