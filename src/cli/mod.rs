//! The command line: its flags, and one file per subcommand. Builds a configuration and hands it over to the app.

mod certs;
mod comforts;
mod command_line;
mod demo;
mod demo_app;
mod explain;
mod explain_client;
mod explain_guards;
mod explain_routes;
mod failure;
mod fmt;
mod hash_password;
mod source;
mod status;
mod trust;
mod values;

pub use command_line::{Streams, main, run_with};
pub use failure::Start;
