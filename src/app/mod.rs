//! The composition root: builds the two towers from a configuration, runs them, drains them.

mod error;
mod file_limit;
mod file_pairs;
mod instance;
mod logging;
mod process;
mod sites;
mod workers;

pub use error::Error;
pub use instance::App;
pub use process::run;
