//! Builds the servers and the accept rules of one configuration.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::listener_plan::{BoundListener, BoundListeners};
use crate::certs::challenge::Http01Tokens;
use crate::config::Config;
use crate::figures::ConnectionFigures;
use crate::listener_names::ListenerNames;
use crate::log_limit::LogLimit;
use crate::proxy::{CurrentRouter, ProxyService, RefusalCounters, ServiceOptions, TrustedProxies};
use crate::server::{
    AcceptRules, AltSvc, ClientLimit, DirectResponder, ForwardingRules, Https, HttpsParts,
    HttpsPorts, PlainHttp, PlainHttpParts, QuicNetwork,
};
use crate::tasks::Tasks;
use crate::tls::Acceptor;

/// State that all servers share, whatever the configuration.
#[derive(Debug)]
pub(in crate::app) struct ServerState {
    pub(in crate::app) permits: Arc<Semaphore>,
    pub(in crate::app) connections: Tasks,
    pub(in crate::app) tokens: Arc<Http01Tokens>,
    pub(in crate::app) current_router: Arc<CurrentRouter>,
    pub(in crate::app) refusals: RefusalCounters,
    pub(in crate::app) figures: ConnectionFigures,
    /// The workers of QUIC, here and in the processes before and after this one.
    pub(in crate::app) quic_network: QuicNetwork,
    /// Limits the log of failures of accept.
    pub(in crate::app) accept_failure_log: Arc<LogLimit>,
}

/// A configuration, with the numbers of its listeners' names.
#[derive(Clone, Copy, Debug)]
pub(in crate::app) struct ListenConfig<'a> {
    pub(in crate::app) config: &'a Config,
    pub(in crate::app) names: &'a ListenerNames,
}

impl ListenConfig<'_> {
    /// Returns the peers that are trusted.
    fn trust(&self) -> Arc<TrustedProxies> {
        let networks = self.config.trust.iter().flat_map(|peer| peer.networks());
        Arc::new(TrustedProxies::new(networks))
    }
}

/// Builds the accept rules of one configuration, by which all listeners count clients together.
pub(super) struct RulesBuilder<'a> {
    listen: ListenConfig<'a>,
    trust: Arc<TrustedProxies>,
    client_limit: ClientLimit,
}

impl<'a> RulesBuilder<'a> {
    pub(super) fn new(listen: ListenConfig<'a>, client_limit: &ClientLimit) -> Self {
        let limit = listen.config.limits.connections_per_client;
        Self {
            listen,
            trust: listen.trust(),
            client_limit: client_limit.with_limit(limit),
        }
    }

    /// Returns the rules for connections to this listener.
    pub(super) fn rules(&self, listener: &BoundListener) -> Arc<AcceptRules> {
        let options = &listener.options;
        Arc::new(AcceptRules {
            listener: self.listen.names.id(&options.name).unwrap_or_default(),
            trust: Arc::clone(&self.trust),
            client_limit: self.client_limit.clone(),
            proxy_protocol: options.proxy_protocol,
            timeout: self.listen.config.limits.handshake_timeout,
        })
    }
}

/// Builds the servers of one configuration.
pub(super) struct ServerBuilder<'a> {
    config: &'a Config,
    state: &'a ServerState,
    acceptor: &'a Arc<Acceptor>,
    trust: Arc<TrustedProxies>,
    https_ports: Arc<HttpsPorts>,
    alt_svc: Arc<AltSvc>,
}

impl<'a> ServerBuilder<'a> {
    /// Plain HTTP is redirected to the ports of `bound`.
    pub(super) fn new(
        listen: ListenConfig<'a>,
        state: &'a ServerState,
        acceptor: &'a Arc<Acceptor>,
        bound: &BoundListeners,
    ) -> Self {
        Self {
            config: listen.config,
            state,
            acceptor,
            trust: listen.trust(),
            https_ports: Arc::new(bound.https_ports(listen.names)),
            alt_svc: Arc::new(bound.alt_svc(listen.names)),
        }
    }

    /// Builds the plain HTTP server of the worker with this number.
    pub(super) fn http(&self, number: usize, tasks: &Tasks) -> Arc<PlainHttp> {
        let state = self.state;
        PlainHttp::new(PlainHttpParts {
            direct: DirectResponder {
                tokens: Arc::clone(&state.tokens),
                current_router: Arc::clone(&state.current_router),
                refusals: Arc::clone(state.refusals.of_worker(number)),
                worker: number,
                https_ports: Arc::clone(&self.https_ports),
            },
            service: self.service(number, tasks),
            limits: self.config.limits.clone(),
            tasks: tasks.clone(),
            forwarding: self.forwarding(),
            figures: Arc::clone(state.figures.of_worker(number)),
        })
    }

    /// Builds the HTTPS server of the worker with this number.
    pub(super) fn https(&self, number: usize, tasks: &Tasks) -> Arc<Https> {
        Https::new(HttpsParts {
            acceptor: Arc::clone(self.acceptor),
            service: self.service(number, tasks),
            limits: self.config.limits.clone(),
            tasks: tasks.clone(),
            forwarding: self.forwarding(),
            figures: Arc::clone(self.state.figures.of_worker(number)),
            alt_svc: Arc::clone(&self.alt_svc),
        })
    }

    fn service(&self, number: usize, tasks: &Tasks) -> ProxyService {
        let limits = &self.config.limits;
        let options = ServiceOptions {
            head_fields: limits.head_fields,
            head_size: limits.head_size,
            body_timeout: limits.body_timeout,
        };
        let current_router = Arc::clone(&self.state.current_router);
        let service = ProxyService::new(current_router, options, self.state.connections.clone());
        service
            .for_worker(number, tasks.clone())
            .counting(Arc::clone(self.state.refusals.of_worker(number)))
    }

    fn forwarding(&self) -> ForwardingRules {
        ForwardingRules {
            trust: Arc::clone(&self.trust),
            has_forwarded: self.config.forwarded,
        }
    }
}
