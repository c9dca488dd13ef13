//! Where a running proxy is asked how it is: the admin socket, and the metrics.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracing::{error, info};

use super::Error;
use crate::admin::{Desk, Exporter, Server, Socket, Vitals};
use crate::config::Config;
use crate::tasks::Tasks;

/// What is listened on. Who comes before it is served waits.
#[derive(Debug)]
pub(super) struct Control {
    socket: Option<Socket>,
    metrics: Option<TcpListener>,
}

impl Control {
    pub(super) fn open(config: &Config) -> Result<Self, Error> {
        let metrics = config
            .metrics
            .map(|address| listen(address).map_err(|source| Error::Metrics { address, source }));
        Ok(Self {
            socket: open_socket(config)?,
            metrics: metrics.transpose()?,
        })
    }

    /// Answers by `vitals` from now on.
    pub(super) fn serve(self, vitals: Vitals, tasks: &Tasks) {
        if let Some(listener) = self.metrics {
            let exporter = Exporter::new(vitals.clone(), tasks.clone());
            tasks.spawn(exporter.run(listener));
        }
        if let Some(socket) = self.socket {
            let desk = Desk::live(vitals.manager.clone()).with_vitals(vitals);
            tasks.spawn(Server::new(desk, tasks.clone()).run(socket));
        }
    }
}

/// A full disk does not keep the sites down, though they cannot be asked about.
fn open_socket(config: &Config) -> Result<Option<Socket>, Error> {
    match Socket::open(&config.admin_path()) {
        Err(error) if error.is_passing() => {
            error!(%error, "there is no admin socket");
            Ok(None)
        }
        opened => Ok(Some(opened?)),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    info!(address = %listener.local_addr()?, "metrics are served");
    Ok(listener)
}
