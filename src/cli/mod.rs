//! The command line: its flags and one file per subcommand. Knows the configuration and how to hand it over.

mod check;
mod command_line;
mod demo;
mod demo_app;
mod explain;
mod explain_client;

mod run;
mod source;
mod values;

pub use command_line::{Start, Streams, main, run_with};
