//! The ways to prove control over a name.

mod http01;

pub use http01::{Http01Solver, Http01Tokens};
