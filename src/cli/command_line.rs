//! Parses the arguments, runs the command, and returns the exit code: 0 ok, 1 failed, 2 bad usage or configuration.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use super::certs::Certs;
use super::demo::{self, Demo};
use super::doctor::{Doctor, Rehearse};
use super::failure::{Failure, Start};
use super::fmt::Fmt;
use super::reference::{Completions, ManPages, VersionFlags, write_schema, write_version};
use super::reload::Reload;
use super::source::Source;
use super::status::Status;
use super::stop::Stop;
use super::trust::{self, Trust};
use super::upgrade::Upgrade;
use super::{check, explain, hash_password, missing_command};
use crate::app::{self, Predecessor};
use crate::non_blocking_writer::NonBlockingWriter;
use crate::printable::with_causes;

/// The output streams of a command.
pub struct Streams<'a> {
    /// Output of the command.
    pub out: &'a mut dyn Write,
    /// Errors.
    pub err: &'a mut dyn Write,
}

const AFTER_HELP: &str = "\
A flag can also be set by the environment variable shown beside it.
`proxy` without a subcommand is `proxy run`.";

/// HTTPS in front of any web app, with certificates that are obtained and renewed automatically
#[derive(Debug, Parser)]
#[command(name = "proxy", version, disable_version_flag = true, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    version: VersionFlags,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run the proxy until it is stopped
    Run(Box<Source>),
    /// Check whether the configuration is valid, and show all errors
    Check(Box<Source>),
    /// Check what must hold on this machine and for each name: DNS, ports, CAs, storage, certificates and backends
    Doctor(Box<Doctor>),
    /// Order certificates for all names at staging CAs, throw them away, and show which orders work
    Rehearse(Rehearse),
    /// Format a Proxyfile
    Fmt(Fmt),
    /// Show the effective configuration, with all defaults
    Explain(Box<Source>),
    /// Have the running proxy read its configuration again, and show what has changed
    Reload(Reload),
    /// Replace the running proxy by another process without closing a port, as after an update
    Upgrade(Upgrade),
    /// Stop the running proxy after its requests have ended, and wait for that
    Stop(Stop),
    /// Show the state of the running proxy or of one site: requests, backends, certificates, connections and refusals
    Status(Status),
    /// List, show, renew, revoke and import certificates
    Certs(Certs),
    /// Try the proxy with a small built-in app behind HTTPS: no network, root or file needed
    Demo(Demo),
    /// Add the root certificate of the internal CA to this machine's trust stores, or remove it
    Trust(Trust),
    /// Read a password and print its hash for `basic-auth`
    HashPassword,
    /// Print the JSON Schema of a Proxyfile, for editors
    Schema,
    /// Print the script with which a shell completes commands and flags
    Completions(Completions),
    /// Write a manual page for each command into a folder
    Man(ManPages),
}

/// Runs the command in the arguments of the process. A waiting `predecessor` is told its errors, and logs them. Otherwise, they
/// go to standard error.
#[must_use]
pub fn main(mut predecessor: Predecessor, start: Start) -> ExitCode {
    // An error that nobody reads must not keep the process from its end.
    let Ok(err) = NonBlockingWriter::start(io::stderr(), |_| ()) else {
        return ExitCode::FAILURE;
    };
    let mut errors = Vec::new();
    let streams = Streams {
        out: &mut io::stdout(),
        err: &mut errors,
    };
    let code = run_with(std::env::args_os(), streams, start);
    if !predecessor.waits() || predecessor.write_all(&errors).is_err() {
        let errors = String::from_utf8_lossy(&errors);
        let _ = err.clone().write_all(app::error_lines(&errors).as_bytes());
    }
    err.finish();
    code
}

/// Runs the command in `args`. The first of them is the name of the program.
pub fn run_with<A>(args: A, streams: Streams<'_>, start: Start) -> ExitCode
where
    A: IntoIterator<Item = OsString>,
{
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return write_usage(&error, args.get(1), streams),
    };
    match execute(cli, streams.out, start) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has closed the pipe early, as `head` does.
        Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Told(code)) => ExitCode::from(code),
        Err(failure) => {
            write_failure(&failure, streams.err);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn execute(cli: Cli, out: &mut dyn Write, start: Start) -> Result<(), Failure> {
    if cli.version.version {
        return Ok(write_version(&cli.version, out)?);
    }
    match cli.command {
        None => run(cli.source, start),
        Some(Command::Run(source)) => run(*source, start),
        Some(Command::Check(source)) => check::execute(*source, out),
        Some(Command::Doctor(doctor)) => doctor.execute(out),
        Some(Command::Rehearse(rehearse)) => rehearse.execute(out),
        Some(Command::Fmt(fmt)) => Ok(fmt.execute(out)?),
        Some(Command::Explain(source)) => explain::execute(*source, out),
        Some(Command::Reload(reload)) => Ok(reload.execute(out)?),
        Some(Command::Upgrade(upgrade)) => Ok(upgrade.execute(out)?),
        Some(Command::Stop(stop)) => Ok(stop.execute(out)?),
        Some(Command::Status(status)) => Ok(status.execute(out)?),
        Some(Command::Certs(certs)) => Ok(certs.execute(out)?),
        Some(Command::Demo(demo)) => demo::execute(demo, out, start),
        Some(Command::Trust(trust)) => trust::execute(trust, out),
        Some(Command::HashPassword) => Ok(hash_password::execute(out)?),
        Some(Command::Schema) => Ok(write_schema(out)?),
        Some(Command::Completions(completions)) => Ok(completions.execute(Cli::command(), out)?),
        Some(Command::Man(pages)) => Ok(pages.execute(Cli::command(), out)?),
    }
}

/// `proxy run`, and `proxy` without a subcommand.
fn run(source: Source, start: Start) -> Result<(), Failure> {
    let loaded = source.load()?;
    start(loaded.config, loaded.file).map_err(Failure::of_start)
}

/// Writes help and version to standard output, and usage errors to standard error. `first` is the first argument.
fn write_usage(error: &clap::Error, first: Option<&OsString>, streams: Streams<'_>) -> ExitCode {
    let (stream, code) = if error.use_stderr() {
        (streams.err, ExitCode::from(2))
    } else {
        (streams.out, ExitCode::SUCCESS)
    };
    let mistyped = mistyped(error).filter(|word| first.is_some_and(|first| first == word));
    let known = mistyped.and_then(missing_command::sentence);
    let _ = match known {
        Some(sentence) => writeln!(stream, "{sentence}"),
        None => write!(stream, "{}", error.render()),
    };
    code
}

/// Returns the word that is neither a command nor an argument.
fn mistyped(error: &clap::Error) -> Option<&str> {
    let word = match error.kind() {
        ErrorKind::InvalidSubcommand => error.get(ContextKind::InvalidSubcommand),
        ErrorKind::UnknownArgument => error.get(ContextKind::InvalidArg),
        _ => None,
    };
    match word? {
        ContextValue::String(word) => Some(word),
        _ => None,
    }
}

/// Writes an error with its causes as one sentence. A failure to do so has nowhere to be reported.
fn write_failure(failure: &Failure, err: &mut dyn Write) {
    let _ = writeln!(err, "{}", with_causes(failure));
}
