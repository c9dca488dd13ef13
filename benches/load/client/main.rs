//! Loads that no common tool makes: full and resumed TLS 1.3 handshakes over X25519, connections that stay idle, first
//! visits to many names, WebSockets and event streams; and the app for the last two and for gRPC. It prints lines of JSON.

mod app;
mod connect;
mod events;
mod exchange;
mod executor;
mod hold;
mod stock;
mod tls;
mod websocket;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::task::LocalSet;
use tokio::time::Instant;

use app::app;
use connect::{Plan, connect_for_a_while, visit};
use events::events;
use hold::hold;
use stock::stock;
use websocket::websocket;

pub(crate) type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
struct Arguments {
    /// Address of the proxy, or of the app; loopback only.
    address: SocketAddr,
    /// Name to ask for.
    name: String,
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Makes one connection per request, many at once, for a given time.
    Connect {
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        seconds: f64,
        /// Stop earlier, once each loop has made this number of connections.
        #[arg(long, default_value_t = usize::MAX)]
        requests: usize,
        /// Resume sessions by ticket where the server gave one.
        #[arg(long)]
        resume: bool,
        /// Ask for a random nINDEX.NAME out of this number of names.
        #[arg(long, default_value_t = 0)]
        names: usize,
    },
    /// Holds connections open after one request each, until standard input says so or ends.
    Hold {
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        protocol: Protocol,
        /// Open so many a second instead of one after the other.
        #[arg(long)]
        rate: Option<f64>,
    },
    /// Makes one connection to each nINDEX.NAME, one after the other.
    Visit {
        #[arg(long)]
        names: usize,
    },
    /// Sends messages over WebSockets, one at a time on each, for a given time.
    Websocket {
        #[arg(long)]
        connections: usize,
        /// Bytes of each message.
        #[arg(long)]
        size: usize,
        #[arg(long)]
        seconds: f64,
    },
    /// Holds event streams open and counts their events, until standard input says so or ends.
    Events {
        #[arg(long)]
        streams: usize,
    },
    /// Sends no load; serves event streams, WebSockets and a gRPC method without TLS.
    App {
        #[arg(long)]
        protocol: Protocol,
    },
    /// Sends no load; writes a certificate for each further nINDEX.NAME below a folder, as the proxy stores them.
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
                rate,
            } => hold(&target, connections, protocol, rate).await,
            Load::Visit { names } => visit(&target, names).await,
            Load::Websocket {
                connections,
                size,
                seconds,
            } => websocket(&target, connections, size, seconds).await,
            Load::Events { streams } => events(&target, streams).await,
            Load::App { protocol } => app(&target, protocol).await,
            Load::Stock { folder, names } => stock(&folder, &target.name, names),
        }
    })
}

/// Address and name that the load is sent to.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) name: Rc<str>,
}

pub(crate) fn print(value: &serde_json::Value) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}
