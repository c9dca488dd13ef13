//! `proxy trust`: the internal CA's root in the stores that this machine's programs trust, or out of them again.

mod browser_store;
mod command;
mod outcome;
mod root;
mod system_store;
mod tool;

pub(super) use command::{Trust, execute};
pub(super) use outcome::Error;
