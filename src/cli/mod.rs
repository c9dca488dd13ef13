//! The command line: its flags and one file per subcommand. Knows the configuration and how to hand it over.

mod certs;
mod check;
mod command_line;
mod demo;
mod demo_app;
mod explain;
mod fmt;
mod hash_password;

mod run;
mod shell_words;
mod source;
mod status;
mod trust;

pub use command_line::{Start, Streams, main, run_with};
