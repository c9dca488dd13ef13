//! The command line: its flags, and one file per subcommand. Builds a configuration and hands it over to the app.

mod certs;
mod check;
mod command_line;
mod demo;
mod demo_app;
mod doctor;
mod explain;
mod failure;
mod fmt;
mod hash_password;
mod missing_command;
mod reference;
mod reload;
mod shell_words;
mod source;
mod status;
mod stop;
mod table;
mod trust;
mod upgrade;

pub use command_line::{Streams, main, run_with};
pub use failure::Start;
