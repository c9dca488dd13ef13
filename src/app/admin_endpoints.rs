//! The admin socket, the metrics listener and the status page of a running proxy.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Weak};

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{error, info};

use super::Error;
use super::listeners::PassedSockets;
use super::page_endpoint::{PageEndpoint, PagePlan};
use super::upgrade::Handover;
use crate::admin::{
    self, MetricsServer, Operations, ProcessCommand, ProcessCommands, Server, Socket,
    SocketHandover, Stats, sample_figures,
};
use crate::config::Config;
use crate::storage::Owner;
use crate::tasks::Tasks;

/// Name under which the socket of metrics is passed on.
const METRICS_NAME: &str = "metrics";

/// The open sockets, if any. Connections wait until [`Self::serve`] is called.
#[derive(Debug, Default)]
pub(super) struct AdminEndpoints {
    socket: Option<Socket>,
    metrics: Option<TcpListener>,
    page: PagePlan,
}

impl AdminEndpoints {
    /// Opens the sockets that `config` asks for, or takes those that were passed to this process.
    pub(super) fn open(
        config: &Config,
        admin: Option<UnixListener>,
        passed: &mut PassedSockets,
    ) -> Result<Self, Error> {
        let metrics = config.metrics.map(|address| {
            let passed = passed.take_named(METRICS_NAME, address);
            listen(address, passed).map_err(|source| Error::Metrics { address, source })
        });
        Ok(Self {
            socket: open_socket(config, admin)?,
            metrics: metrics.transpose()?,
            page: PagePlan::take_or_bind(config, passed)?,
        })
    }

    /// Answers requests with `stats`.
    pub(super) fn serve(self, stats: Stats) -> RunningAdmin {
        let tasks = Tasks::at_home();
        let (process, commands) = ProcessCommands::new();
        let sampling = sample_figures(Arc::clone(&stats.current_router), tasks.shutdown());
        tasks.spawn(sampling);
        let mut metrics = None;
        if let Some(listener) = self.metrics {
            let metrics_server = MetricsServer::new(stats.clone(), tasks.clone());
            let listener = Arc::new(listener);
            metrics = Some(Arc::downgrade(&listener));
            tasks.spawn(metrics_server.run(listener));
        }
        let mut page = PageEndpoint::new(stats.clone(), tasks.clone());
        page.replace(self.page);
        let socket = self.socket.as_ref().map(Socket::handover);
        if let Some(socket) = self.socket {
            let operations = Operations::live(stats.manager.clone()).with_stats(stats);
            tasks.spawn(Server::new(operations, process, tasks.clone()).run(socket));
        }
        RunningAdmin {
            tasks,
            commands,
            socket,
            metrics,
            page,
        }
    }
}

/// The sockets while they are served.
#[derive(Debug)]
pub(super) struct RunningAdmin {
    /// Connections to the sockets.
    pub(super) tasks: Tasks,
    /// Commands for the process that come over the admin socket.
    pub(super) commands: mpsc::Receiver<ProcessCommand>,
    socket: Option<SocketHandover>,
    metrics: Option<Weak<TcpListener>>,
    page: PageEndpoint,
}

impl RunningAdmin {
    /// Adds the open sockets to those that another process gets.
    pub(super) fn add_to(&self, handover: &mut Handover) -> io::Result<()> {
        let socket = self.socket.as_ref().map(SocketHandover::duplicate);
        if let Some(socket) = socket.transpose()?.flatten() {
            handover.add_admin(socket);
        }
        if let Some(metrics) = self.metrics.as_ref().and_then(Weak::upgrade) {
            let duplicate = metrics.as_fd().try_clone_to_owned()?;
            handover.add([(METRICS_NAME.to_owned(), duplicate)]);
        }
        handover.add(self.page.duplicate()?);
        Ok(())
    }

    /// Makes the status page be as planned.
    pub(super) fn replace_page(&mut self, plan: PagePlan) {
        self.page.replace(plan);
    }

    /// Leaves the admin socket to the process that has got it.
    pub(super) fn complete_handover(&self) {
        if let Some(socket) = &self.socket {
            socket.complete();
        }
    }
}

/// A full disk is only logged: the sites can be served without the admin socket.
fn open_socket(config: &Config, passed: Option<UnixListener>) -> Result<Option<Socket>, Error> {
    let path = config.admin_path();
    let adopted = passed.map(|passed| Socket::adopt(passed, &path));
    if let Some(adopted) = adopted.transpose()?.flatten() {
        return Ok(Some(adopted));
    }
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

fn listen(address: SocketAddr, passed: Option<std::net::TcpListener>) -> io::Result<TcpListener> {
    let listener = match passed {
        Some(passed) => passed,
        None => std::net::TcpListener::bind(address)?,
    };
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    info!(address = %listener.local_addr()?, "serving metrics");
    Ok(listener)
}
