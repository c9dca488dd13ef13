//! `proxy certs`: its subcommands, and the way to a running proxy or its storage.

mod command;
mod error;
mod list;
mod show;
mod target;

pub(super) use command::{Certs, wait_for};
pub(super) use error::Error;
pub(super) use target::TargetFlags;
