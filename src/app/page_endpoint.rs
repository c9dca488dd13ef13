//! The listener of the status page, which a reload opens, moves and closes.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tracing::{info, warn};

use super::Error;
use super::listeners::PassedSockets;
use crate::admin::{Operations, PageOptions, PageServer, Recorder, Stats};
use crate::config::Config;
use crate::tasks::Tasks;

/// Time for the last responses of a page that is closed.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// Name under which the socket of the page is passed on.
const PAGE_NAME: &str = "page";

/// The page of the next configuration. A plan that is dropped closes a new socket and leaves the running page alone.
#[derive(Debug, Default)]
pub(super) struct PagePlan {
    options: Option<PageOptions>,
    /// The new socket, if the address is another one.
    socket: Option<StdTcpListener>,
}

impl PagePlan {
    /// Binds the address of the page that `config` asks for, unless the page that runs with `running` has it already. Blocks.
    pub(super) fn bind(config: &Config, running: &Config) -> Result<Self, Error> {
        Self::open(config, |address| {
            if running.page == Some(address) {
                return Ok(None);
            }
            StdTcpListener::bind(address).map(Some)
        })
    }

    /// Takes the socket of the page from those that were passed to this process, or binds it. Blocks.
    pub(super) fn take_or_bind(config: &Config, passed: &mut PassedSockets) -> Result<Self, Error> {
        Self::open(config, |address| {
            match passed.take_named(PAGE_NAME, address) {
                Some(passed) => Ok(Some(passed)),
                None => StdTcpListener::bind(address).map(Some),
            }
        })
    }

    fn open(
        config: &Config,
        open: impl FnOnce(SocketAddr) -> io::Result<Option<StdTcpListener>>,
    ) -> Result<Self, Error> {
        let Some(address) = config.page else {
            return Ok(Self::default());
        };
        let opened = open(address).and_then(|socket| {
            if let Some(socket) = &socket {
                socket.set_nonblocking(true)?;
            }
            Ok(socket)
        });
        Ok(Self {
            options: Some(PageOptions {
                address,
                token: config.page_token.clone(),
            }),
            socket: opened.map_err(|source| Error::StatusPage { address, source })?,
        })
    }
}

/// The page while it is served, or the place for it.
#[derive(Debug)]
pub(super) struct PageEndpoint {
    stats: Stats,
    /// Tasks that end with the admin socket.
    admin: Tasks,
    open: Option<OpenPage>,
}

#[derive(Debug)]
struct OpenPage {
    options: PageOptions,
    listener: Arc<TcpListener>,
    recorder: Recorder,
    /// Accepted connections and the accept loop.
    tasks: Tasks,
}

impl PageEndpoint {
    /// Creates the place for a page with these statistics. It ends with `admin`.
    pub(super) fn new(stats: Stats, admin: Tasks) -> Self {
        Self {
            stats,
            admin,
            open: None,
        }
    }

    /// Makes the page be as planned. One that stays the same goes on, and one with another token or address keeps its history.
    pub(super) fn replace(&mut self, plan: PagePlan) {
        let former = self.open.take();
        let Some(options) = plan.options else {
            if let Some(former) = former {
                info!(address = %former.options.address, "status page closed");
                former.tasks.stop();
            }
            return;
        };
        let (former, socket) = match (former, plan.socket) {
            (Some(former), None) if former.options == options => {
                self.open = Some(former);
                return;
            }
            planned => planned,
        };
        let listener = match (socket, &former) {
            (Some(socket), _) => TcpListener::from_std(socket).map(Arc::new),
            (None, Some(former)) => Ok(Arc::clone(&former.listener)),
            (None, None) => return,
        };
        // Who has come with the former token must come again.
        let recorder = former.map(|former| {
            former.tasks.stop();
            former.recorder
        });
        let recorder = recorder.unwrap_or_else(|| Recorder::start(self.stats.clone(), &self.admin));
        let serving = listener.and_then(|listener| {
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        match serving {
            Ok((listener, address)) => {
                self.open = Some(self.serve(options, address, listener, recorder));
            }
            Err(error) => warn!(address = %options.address, %error, "status page cannot be served"),
        }
    }

    fn serve(
        &self,
        options: PageOptions,
        address: SocketAddr,
        listener: Arc<TcpListener>,
        recorder: Recorder,
    ) -> OpenPage {
        let tasks = Tasks::at_home();
        let operations = Operations::live(self.stats.manager.clone());
        let server = PageServer::new(
            &options,
            address,
            recorder.clone(),
            operations,
            tasks.clone(),
        );
        tasks.spawn(server.run(Arc::clone(&listener)));
        // The end of the process waits for `admin` only.
        let (all, own) = (self.admin.shutdown(), tasks.clone());
        self.admin.spawn(async move {
            let stopped = own.shutdown();
            tokio::select! {
                () = all.requested() => {}
                () = stopped.requested() => {}
            }
            own.drain(END_TIMEOUT).await;
        });
        OpenPage {
            options,
            listener,
            recorder,
            tasks,
        }
    }

    /// Returns the open socket once more, with its name, to hand it over to another process.
    pub(super) fn duplicate(&self) -> io::Result<Option<(String, OwnedFd)>> {
        let Some(open) = &self.open else {
            return Ok(None);
        };
        let duplicate = open.listener.as_fd().try_clone_to_owned()?;
        Ok(Some((PAGE_NAME.to_owned(), duplicate)))
    }
}
