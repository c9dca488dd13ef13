//! `proxy certs`: one small file per subcommand, and the way to a running proxy.

mod account;
mod command;
mod error;
mod import;
mod list;
mod office;
mod renew;
mod revoke;
mod runtime;
mod show;
mod table;

pub(super) use command::Certs;
pub(super) use error::Error;
pub(super) use office::Places;
pub(super) use runtime::wait_for;
