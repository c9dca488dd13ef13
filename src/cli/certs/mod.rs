//! `proxy certs`: one small file per subcommand.

mod account;
mod command;
mod error;
mod import;
mod list;
mod office;
mod renew;
mod revoke;
mod show;
mod table;

pub(super) use command::Certs;
pub(super) use error::Error;
