//! The admin socket and the metrics listener of a running proxy.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{error, info};

use super::Error;
use crate::admin::{
    self, MetricsServer, Operations, ProcessCommand, ProcessCommands, Server, Socket, Stats,
};
use crate::config::Config;
use crate::storage::Owner;
use crate::tasks::Tasks;

/// The open sockets, if any. Connections wait until [`Self::serve`] is called.
#[derive(Debug, Default)]
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
    pub(super) fn serve(self, stats: Stats) -> RunningAdmin {
        let tasks = Tasks::at_home();
        let (process, commands) = ProcessCommands::new();
        if let Some(listener) = self.metrics {
            let metrics_server = MetricsServer::new(stats.clone(), tasks.clone());
            tasks.spawn(metrics_server.run(listener));
        }
        if let Some(socket) = self.socket {
            let operations = Operations::live(stats.manager.clone()).with_stats(stats);
            tasks.spawn(Server::new(operations, process, tasks.clone()).run(socket));
        }
        RunningAdmin { tasks, commands }
    }
}

/// The sockets while they are served.
#[derive(Debug)]
pub(super) struct RunningAdmin {
    /// Connections to the sockets.
    pub(super) tasks: Tasks,
    /// Commands for the process that come over the admin socket.
    pub(super) commands: mpsc::Receiver<ProcessCommand>,
}

/// A full disk is only logged: the sites can be served without the admin socket.
fn open_socket(config: &Config) -> Result<Option<Socket>, Error> {
    let path = config.admin_path();
    let owner = Owner::of(config.storage.directory()).map_err(|source| admin::Error::Open {
        path: path.clone(),
        source,
    });
    match owner.and_then(|owner| Socket::open(&path, owner)) {
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
