//! The composition root: builds the two towers from a configuration, runs them, drains them.

mod dns;
mod error;
mod file_limit;
mod instance;
mod logging;
mod process;
mod sites;
mod workers;

pub use error::Error;
pub use instance::App;
pub use process::run;
