//! The composition root: builds the two towers from a configuration, runs them, drains them.

mod changes;
mod check;
mod control;
mod desk;
mod dns;
mod entries;
mod error;
mod file_limit;
mod file_pairs;
mod front;
mod grounds;
mod import;
mod instance;
mod logging;
mod plan;
mod process;
mod routing;
mod signing;
mod sites;
mod workers;

pub use changes::Changes;
pub use check::check;
pub use desk::{open_desk, open_revoking_desk};
pub use error::Error;
pub use import::{Imported, import};
pub use instance::App;
pub use process::run;
