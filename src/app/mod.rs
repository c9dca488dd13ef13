//! The composition root: builds the two towers from a configuration, runs them, reloads them and drains them.
//!
//! ```text
//! { signal_loop, standalone } -> lifecycle -> { doctor, admin_endpoints, built_config, shutdown } -> upgrade -> listeners
//!                             built_config -> { certificates, routing } -> shared_state
//! ```

mod admin_endpoints;
mod built_config;
mod certificates;
mod doctor;
mod error;
mod lifecycle;
mod listeners;
mod offline;
mod page_endpoint;
mod problems;
mod process;
mod rehearsal;
mod routing;
mod shared_state;
mod shutdown;
mod signal_loop;
mod standalone;
mod start;
mod upgrade;
mod workers;

pub use built_config::check;
pub use certificates::{Imported, import};
pub use error::Error;
pub use lifecycle::App;
pub use offline::{open_operations, open_revocation};
pub use process::logging::error_lines;
pub use process::privileges::PrivilegeError;
pub use signal_loop::run;
pub use standalone::{check_standalone, rehearse_standalone};
pub use upgrade::{Inherited, Predecessor};
