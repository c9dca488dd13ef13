//! `proxy demo`: the proxy before a small built-in app, with nothing to set up.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};

use crate::config::{self, Config, Flags};

use super::command_line::{Failure, Start};
use super::demo_app;
use super::shell_words::shell_quoted;

/// Why the demo does not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{flag}: `{text}` is no address to listen on; write `IP:PORT`, as in `127.0.0.1:8443`")]
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

impl Error {
    /// Whether another command line would help.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::Config(_))
    }
}

/// Where the demo listens and keeps its certificates.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Where HTTP is answered
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen_http: String,
    /// Where HTTPS is served
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen_https: String,
    /// Where the demo's own CA and certificates are kept [default: `demo` in the default data directory]
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
        listen_http: Some(http.to_string()),
        listen_https: Some(https.to_string()),
        storage: demo.storage.clone(),
        ..Flags::default()
    };
    let mut config = Config::from_quick(&flags).map_err(Error::Config)?;
    if demo.storage.is_none() {
        config.storage = config.storage.join("demo");
    }
    invite(&config, out)?;
    start(config, None).map_err(Failure::Run)
}

/// Makes sure that the address can be had; port 0 becomes a free port, so that it can be printed.
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

fn invite(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    let root = config
        .storage
        .directory()
        .join("internal-ca")
        .join("root.pem");
    let (http, https) = (config.listen.http.port(), config.listen.https.port());
    writeln!(
        out,
        "A small app stands behind https://localhost:{https}; http://localhost:{http} leads there."
    )?;
    writeln!(
        out,
        "Once the line `ready` appears, try in another terminal:\n"
    )?;
    writeln!(
        out,
        "  curl --cacert {} https://localhost:{https}/\n",
        shell_quoted(&root.display().to_string())
    )?;
    writeln!(out, "Ctrl-C ends it.")?;
    out.flush()
}
