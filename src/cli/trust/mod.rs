//! `proxy trust`: adds the root certificate of the internal CA to this machine's trust stores, or removes it.

mod browser_store;
mod command;
mod home;
mod outcome;
mod root;
mod system_store;
mod tool;

pub(super) use command::{Trust, execute};
