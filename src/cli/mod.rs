//! The command line: its flags and one file per subcommand. Knows the configuration and how to hand it over.

mod certs;
mod check;
mod comforts;
mod command_line;
mod demo;
mod demo_app;
mod explain;
mod explain_client;
mod explain_guards;
mod explain_routes;
mod fmt;
mod hash_password;

mod run;
mod source;
mod status;
mod trust;
mod values;

pub use command_line::{Start, Streams, main, run_with};
