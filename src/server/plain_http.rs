//! Plain HTTP connections: the proxy answers challenges, redirects the hosts of sites to HTTPS, and serves the sites that want
//! plain HTTP.

use std::sync::Arc;

use tracing::{Instrument, debug_span};

use super::accept::Accepted;
use super::connection::{Http, HttpConnection};
use super::direct_responder::DirectResponder;
use super::forwarding_rules::ForwardingRules;
use super::options::Limits;
use crate::figures::WorkerConnections;
use crate::per_worker::CachePadded;
use crate::proxy::{ConnInfo, ProxyService};
use crate::tasks::{Shutdown, Tasks};
use crate::uninterrupted::Uninterrupted;

/// The parts of [`PlainHttp`].
#[derive(Debug)]
pub struct PlainHttpParts {
    /// Answers what does not go to the service.
    pub direct: DirectResponder,
    /// Answers the requests of sites that are served over plain HTTP.
    pub service: ProxyService,
    /// Limits of a connection.
    pub limits: Limits,
    /// The tasks of tunnels.
    pub tasks: Tasks,
    /// Rules for the facts about clients.
    pub forwarding: ForwardingRules,
    /// Counters of the worker's connections.
    pub figures: Arc<CachePadded<WorkerConnections>>,
}

/// Serves plain HTTP connections.
#[derive(Debug)]
pub struct PlainHttp {
    http: Http,
    forwarding: ForwardingRules,
}

impl PlainHttp {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: PlainHttpParts) -> Arc<Self> {
        let PlainHttpParts {
            direct,
            service,
            limits,
            tasks,
            forwarding,
            figures,
        } = parts;
        Arc::new(Self {
            http: Http::new(service, limits, tasks)
                .answering(direct)
                .counting(figures),
            forwarding,
        })
    }

    /// Serves one connection until it is over, a deadline is missed or the process stops.
    pub async fn serve(self: Arc<Self>, accepted: Accepted, shutdown: Shutdown) {
        let Accepted {
            stream,
            peer,
            local,
            slot,
            is_trusted,
            listener,
        } = accepted;
        let span = debug_span!("connection", client.addr = %peer, server.addr = %local);
        let conn = ConnInfo::new(peer, None)
            .reaching(local)
            .accepted_by(listener)
            .without_tls();
        let connection = HttpConnection {
            stream: Uninterrupted::new(stream),
            is_h2: false,
            info: self.forwarding.apply(conn, is_trusted, &slot),
            slot,
        };
        let serving = self.http.serve(connection, &shutdown);
        serving.instrument(span).await;
    }
}
