//! `proxy status`: the state of the running proxy.

mod command;
mod figures_text;
mod sections;
mod terminal;

pub(super) use command::Status;
