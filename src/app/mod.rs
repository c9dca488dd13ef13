//! The composition root: builds the two towers from a configuration, runs them, reloads them and drains them.
//!
//! ```text
//! process -> lifecycle -> { listeners, admin_endpoints, plan } -> { certificates, routing } -> shared_state
//! ```

mod admin_endpoints;
mod certificates;
mod error;
mod file_limit;
mod lifecycle;
mod listeners;
mod logging;
mod offline;
mod plan;
mod process;
mod routing;
mod shared_state;
mod sites;
mod workers;

pub use certificates::{Imported, import};
pub use error::Error;
pub use lifecycle::App;
pub use offline::{open_operations, open_revocation};
pub use plan::{Changes, check};
pub use process::run;
