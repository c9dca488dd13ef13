//! The admin socket and the metrics listener of a running proxy.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracing::{error, info};

use super::Error;
use crate::admin::{MetricsServer, Operations, Server, Socket, Stats};
use crate::config::Config;
use crate::tasks::Tasks;

/// The open sockets. Connections wait until [`Self::serve`] is called.
#[derive(Debug)]
pub(super) struct AdminEndpoints {
    socket: Option<Socket>,
    metrics: Option<TcpListener>,
}

impl AdminEndpoints {
    /// Opens the sockets that `config` asks for.
    pub(super) fn open(config: &Config) -> Result<Self, Error> {
        let metrics = config
            .metrics
            .map(|address| listen(address).map_err(|source| Error::Metrics { address, source }));
        Ok(Self {
            socket: open_socket(config)?,
            metrics: metrics.transpose()?,
        })
    }

    /// Answers requests with `stats`.
    pub(super) fn serve(self, stats: Stats, tasks: &Tasks) {
        if let Some(listener) = self.metrics {
            let metrics_server = MetricsServer::new(stats.clone(), tasks.clone());
            tasks.spawn(metrics_server.run(listener));
        }
        if let Some(socket) = self.socket {
            let operations = Operations::live(stats.manager.clone()).with_stats(stats);
            tasks.spawn(Server::new(operations, tasks.clone()).run(socket));
        }
    }
}

/// A full disk is only logged: the sites can be served without the admin socket.
fn open_socket(config: &Config) -> Result<Option<Socket>, Error> {
    match Socket::open(&config.admin_path()) {
        Err(error) if error.is_disk_unwritable() => {
            error!(%error, "admin socket cannot be opened");
            Ok(None)
        }
        opened => Ok(Some(opened?)),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    info!(address = %listener.local_addr()?, "serving metrics");
    Ok(listener)
}
