//! The composition root: builds the two towers from a configuration, runs them, drains them.

mod certificates;
mod desk;
mod dns;
mod entries;
mod error;
mod file_limit;
mod file_pairs;
mod import;
mod instance;
mod logging;
mod process;
mod sites;
mod workers;

pub use desk::{open_desk, open_revoking_desk};
pub use error::Error;
pub use import::{Imported, import};
pub use instance::App;
pub use process::run;
