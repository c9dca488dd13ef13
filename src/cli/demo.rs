//! `proxy demo`: the proxy in front of a small built-in app, without any setup.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};

use crate::config::{self, Config, Flags};

use super::demo_app;
use super::failure::{CommandError, Failure, Start};
use super::shell_words::shell_quoted;

/// Reasons why the demo cannot run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{flag}: `{text}` is not a valid address; use a form like `127.0.0.1:8443`")]
    Address { flag: &'static str, text: String },
    #[error(
        "cannot listen on {address}; give the demo another address: `proxy demo {flag} 127.0.0.1:0`"
    )]
    Listen {
        flag: &'static str,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot start the built-in app")]
    App(#[source] io::Error),
    #[error(transparent)]
    Config(#[from] config::Error),
}

impl CommandError for Error {
    fn is_usage(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::Config(_))
    }
}

/// Run a small built-in app behind HTTPS.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Address for plain HTTP
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen_http: String,
    /// Address for HTTPS
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen_https: String,
    /// Data directory for the demo's CA and certificates [default: `demo` in the proxy's default data directory]
    #[arg(long, value_name = "URL", env = "PROXY_STORAGE")]
    storage: Option<String>,
}

pub(super) fn execute(demo: Demo, out: &mut dyn Write, start: Start) -> Result<(), Failure> {
    let http = free_address("--listen-http", &demo.listen_http)?;
    let https = free_address("--listen-https", &demo.listen_https)?;
    let app = demo_app::start().map_err(Error::App)?;
    let flags = Flags {
        upstream: vec![app.to_string()],
        domain: vec!["localhost".to_owned()],
        listen_http: vec![http.to_string()],
        listen_https: vec![https.to_string()],
        storage: demo.storage.clone(),
        ..Flags::default()
    };
    let mut config = Config::from_quick(&flags).map_err(Error::Config)?;
    if demo.storage.is_none() {
        config.storage = config.storage.join("demo");
    }
    write_instructions(&config, [http, https], out)?;
    start(config, None).map_err(Failure::of_start)
}

/// Checks that an address is free. Replaces port 0 by a free port, so that it can be printed.
fn free_address(flag: &'static str, text: &str) -> Result<SocketAddr, Error> {
    let address: SocketAddr = text.parse().map_err(|_| Error::Address {
        flag,
        text: text.to_owned(),
    })?;
    TcpListener::bind(address)
        .and_then(|listener| listener.local_addr())
        .map_err(|source| Error::Listen {
            flag,
            address,
            source,
        })
}

fn write_instructions(
    config: &Config,
    addresses: [SocketAddr; 2],
    out: &mut dyn Write,
) -> io::Result<()> {
    let folder = config.storage.directory();
    let root = folder.join("internal-ca").join("root.pem");
    let [http, https] = addresses.map(|address| address.port());
    writeln!(
        out,
        "A small app runs behind https://localhost:{https}; http://localhost:{http} redirects to it."
    )?;
    writeln!(
        out,
        "When the line `ready` appears, run this in another terminal:\n"
    )?;
    writeln!(
        out,
        "  curl --cacert {} https://localhost:{https}/\n",
        shell_quoted(&root.display().to_string())
    )?;
    writeln!(
        out,
        "Browsers show no warning after `proxy trust --storage {}`; the same with `--remove` takes that back.",
        shell_quoted(&config.storage.to_string())
    )?;
    writeln!(
        out,
        "The CA of the demo is in {}; `proxy demo --storage file:DIR` uses another folder.",
        folder.display()
    )?;
    writeln!(out, "Stop the demo with Ctrl-C.")?;
    out.flush()
}
