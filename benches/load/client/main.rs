//! The load that no common tool makes: full and resumed TLS 1.3 handshakes over X25519, connections that stay idle, and
//! first visits to many names. It prints one line of JSON.

mod connect;
mod exchange;
mod hold;
mod stock;
mod tls;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::task::LocalSet;
use tokio::time::Instant;

use connect::{Plan, connect_for_a_while, connection};
use hold::hold;
use stock::stock;

pub(crate) type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
struct Arguments {
    /// Where the proxy listens; loopback only.
    address: SocketAddr,
    /// The name to ask for.
    name: String,
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// One connection per request, many at once, for a while.
    Connect {
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        seconds: f64,
        /// Stop earlier, once each connection was made so often.
        #[arg(long, default_value_t = usize::MAX)]
        requests: usize,
        /// Resume by ticket, wherever the server gave one.
        #[arg(long)]
        resume: bool,
        /// Ask for nINDEX.NAME, any of so many.
        #[arg(long, default_value_t = 0)]
        names: usize,
    },
    /// Connections that stay open after one request each, until standard input says so or ends.
    Hold {
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        protocol: Protocol,
    },
    /// One connection to each of nINDEX.NAME, one after the other.
    OriginConnection {
        #[arg(long)]
        names: usize,
    },
    /// No load: a certificate for each further nINDEX.NAME, as the proxy stores them, below a folder.
    Stock {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        names: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    H1,
    H2,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    if !arguments.address.ip().is_loopback() {
        return Err("the load goes to this machine only".into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let target = Target {
            address: arguments.address,
            name: arguments.name.into(),
        };
        match arguments.load {
            Load::Connect {
                connections,
                seconds,
                requests,
                resume,
                names,
            } => {
                let until = Instant::now() + Duration::from_secs_f64(seconds);
                let plan = Plan {
                    until,
                    requests,
                    resume,
                    names,
                };
                connect_for_a_while(&target, connections, plan).await
            }
            Load::Hold {
                connections,
                protocol,
            } => hold(&target, connections, protocol).await,
            Load::OriginConnection { names } => connection(&target, names).await,
            Load::Stock { folder, names } => stock(&folder, &target.name, names),
        }
    })
}

/// Whom the load is for.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) name: Rc<str>,
}

pub(crate) fn print(value: &serde_json::Value) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
