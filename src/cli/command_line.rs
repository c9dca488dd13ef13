//! From arguments to an exit code: 0 ok, 1 failed, 2 bad usage or configuration.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::app;
use crate::config::{Config, ConfigFile};

use super::certs::{self, Certs};
use super::demo::{self, Demo};
use super::fmt::{self, Fmt};
use super::source::{self, Source};
use super::status::Status;
use super::trust::{self, Trust};
use super::{check, explain, hash_password, run, status};

/// Runs the proxy with a configuration, and the file that it came from if it did, until it has drained.
pub type Start = fn(Config, Option<ConfigFile>) -> Result<(), Box<dyn Error>>;

/// Where a command writes what it has to say.
pub struct Streams<'a> {
    /// The answer.
    pub out: &'a mut dyn Write,
    /// What went wrong.
    pub err: &'a mut dyn Write,
}

const AFTER_HELP: &str = "\
Every flag that takes part in a configuration has an environment variable, shown beside it.
Without a subcommand, `proxy` does what `proxy run` does.";

/// HTTPS in front of any web app, with certificates that renew themselves.
#[derive(Debug, Parser)]
#[command(name = "proxy", version, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run until told to stop
    Run(Box<Source>),
    /// Say whether the configuration is valid, with all its errors
    Check(Box<Source>),
    /// Write a Proxyfile in the one form that all have
    Fmt(Fmt),
    /// Show the whole effective configuration, defaults included
    Explain(Box<Source>),
    /// How the running proxy is: connections, certificates, and what it has refused
    Status(Status),
    /// Look at certificates and act on them
    Certs(Certs),
    /// Try it here: a small built-in app behind HTTPS, without network, root or a file
    Demo(Demo),
    /// Put the internal CA's root into this machine's stores of trust, or take it out again
    Trust(Trust),
    /// Read a password and print its hash for `basic-auth`
    HashPassword,
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Source(#[from] source::Error),
    #[error(transparent)]
    Fmt(#[from] fmt::Error),
    #[error(transparent)]
    Certs(#[from] certs::Error),
    #[error(transparent)]
    Demo(#[from] demo::Error),
    #[error(transparent)]
    Trust(#[from] trust::Error),
    #[error(transparent)]
    HashPassword(#[from] hash_password::Error),
    #[error(transparent)]
    Unusable(app::Error),
    #[error("cannot write the answer")]
    Write(#[from] io::Error),
    #[error(transparent)]
    Run(Box<dyn Error>),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Source(_) | Self::Unusable(_) => 2,
            Self::Fmt(error) if error.is_usage() => 2,
            Self::Certs(error) if error.is_usage() => 2,
            Self::Demo(error) if error.is_usage() => 2,
            Self::Trust(error) if error.is_usage() => 2,
            Self::HashPassword(error) if error.is_usage() => 2,
            Self::Certs(_)
            | Self::Fmt(_)
            | Self::Demo(_)
            | Self::HashPassword(_)
            | Self::Trust(_)
            | Self::Write(_)
            | Self::Run(_) => 1,
        }
    }
}

/// Does what the process's arguments say.
#[must_use]
pub fn main(start: Start) -> ExitCode {
    let streams = Streams {
        out: &mut io::stdout(),
        err: &mut io::stderr(),
    };
    run_with(std::env::args_os(), streams, start)
}

/// Does what `args` say, the first being the program's own name.
pub fn run_with<A>(args: A, streams: Streams<'_>, start: Start) -> ExitCode
where
    A: IntoIterator<Item = OsString>,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return tell_usage(&error, streams),
    };
    match execute(cli, streams.out, start) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever has read the answer has read enough of it, as `head` does.
        Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            tell(&failure, streams.err);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn execute(cli: Cli, out: &mut dyn Write, start: Start) -> Result<(), Failure> {
    match cli.command {
        None => run::execute(cli.source, start),
        Some(Command::Run(source)) => run::execute(*source, start),
        Some(Command::Check(source)) => check::execute(*source, out),
        Some(Command::Fmt(fmt)) => Ok(fmt.execute(out)?),
        Some(Command::Explain(source)) => explain::execute(*source, out),
        Some(Command::Status(status)) => Ok(status::execute(status, out)?),
        Some(Command::Certs(certs)) => Ok(certs.execute(out)?),
        Some(Command::Demo(demo)) => demo::execute(demo, out, start),
        Some(Command::Trust(trust)) => trust::execute(trust, out),
        Some(Command::HashPassword) => Ok(hash_password::execute(out)?),
    }
}

/// Help and version are answers; all else is bad usage. Exit codes are clap's own: 0 and 2.
fn tell_usage(error: &clap::Error, streams: Streams<'_>) -> ExitCode {
    let (stream, code) = match error.use_stderr() {
        true => (streams.err, ExitCode::from(2)),
        false => (streams.out, ExitCode::SUCCESS),
    };
    let _ = write!(stream, "{}", error.render());
    code
}

/// Writes an error with its causes as one sentence. Nothing can be done when that fails too.
fn tell(failure: &Failure, err: &mut dyn Write) {
    let mut sentence = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !sentence.contains(&words) {
            sentence = format!("{sentence}: {words}");
        }
        cause = error.source();
    }
    let _ = writeln!(err, "{sentence}");
}
