//! The proxy service inside the test process, behind two plain TCP ports: one for HTTP/1.1, one for HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy::name::{HostName, HostPattern};
use proxy::proxy::{
    AccessLog, ConnInfo, CurrentRouter, GuardOptions, Guards, Handler, ProxyService,
    RequestObserver, Router, ServiceOptions, Site, SiteFeatureOptions, SiteFeatures,
};
use proxy::server::{Http, HttpConnection, Limits};
use proxy::tasks::Tasks;
use proxy::upstream::{Address, Options, Resolver, Upstream, UpstreamContext};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::harness::deadline::soon;

/// Settings of a service that is not started yet.
pub(crate) struct ServiceSetup {
    pub(crate) sites: Vec<Site>,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) sni: Option<HostName>,
    pub(crate) options: ServiceOptions,
    pub(crate) upstream: Options,
    pub(crate) features: SiteFeatureOptions,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) tasks: Tasks,
}

impl ServiceSetup {
    pub(crate) fn new() -> Self {
        Self {
            sites: Vec::new(),
            upstreams: Vec::new(),
            sni: None,
            options: ServiceOptions::default(),
            upstream: Options::default(),
            features: SiteFeatureOptions::default(),
            access_log: None,
            tasks: Tasks::new(),
        }
    }

    /// Adds a site for `pattern` with these backends and the options set so far.
    pub(crate) fn site(self, pattern: &str, backends: &[SocketAddr]) -> Self {
        let addresses: Vec<_> = backends.iter().map(ToString::to_string).collect();
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        self.upstream_at(pattern, &addresses)
    }

    /// Adds a site for `www.example.org` with backends of any kind, which `resolver` or the system's resolver finds.
    pub(crate) fn upstream(self, addresses: &[&str], resolver: Option<Resolver>) -> Self {
        let mut context = UpstreamContext::new(self.tasks.clone());
        context.resolver = resolver.unwrap_or(context.resolver);
        self.site_by("www.example.org", addresses, &context)
    }

    /// Adds a site for `pattern` with backends of any kind.
    pub(crate) fn upstream_at(self, pattern: &str, addresses: &[&str]) -> Self {
        let context = UpstreamContext::new(self.tasks.clone());
        self.site_by(pattern, addresses, &context)
    }

    fn site_by(self, pattern: &str, addresses: &[&str], context: &UpstreamContext) -> Self {
        let addresses = addresses
            .iter()
            .map(|address| Address::parse(address).unwrap())
            .collect();
        let options = self.upstream.clone();
        self.upstream_of(pattern, addresses, options, context)
    }

    /// Adds a site for `pattern` with an upstream of these addresses and options.
    pub(crate) fn upstream_of(
        mut self,
        pattern: &str,
        addresses: Vec<Address>,
        options: Options,
        context: &UpstreamContext,
    ) -> Self {
        let upstream = Upstream::new(addresses, options, context);
        let upstream = Arc::new(upstream.unwrap());
        self.upstreams.push(Arc::clone(&upstream));
        let pattern = HostPattern::parse(pattern).unwrap();
        self.sites.push(Site {
            features: SiteFeatures::load(&self.features).unwrap(),
            ..Site::new(pattern, Handler::Upstream(upstream))
        });
        self
    }

    /// Adds these guards to the site that was added last.
    pub(crate) fn guarded(mut self, options: &GuardOptions) -> Self {
        let context = UpstreamContext::new(self.tasks.clone());
        let guards = Guards::new(options, &Arc::default(), &context).unwrap();
        self.sites.last_mut().unwrap().guards = Some(Arc::new(guards));
        self
    }

    pub(crate) fn body_timeout(mut self, timeout: Duration) -> Self {
        self.options.body_timeout = timeout;
        self
    }

    pub(crate) async fn start(self) -> Service {
        let router = Router::new(self.sites);
        let routers = CurrentRouter::new(&router, 1);
        routers.replace(&router, &RequestObserver::new(self.access_log, None));
        let limits = Limits {
            body_timeout: self.options.body_timeout,
            ..Limits::default()
        };
        let service = ProxyService::new(routers, self.options, self.tasks.clone());
        let http = Arc::new(Http::new(service, limits, self.tasks.clone()));
        Service {
            h1: listen(&http, self.sni.clone(), &self.tasks, false).await,
            h2: listen(&http, self.sni, &self.tasks, true).await,
            upstreams: self.upstreams,
            tasks: self.tasks,
        }
    }
}

/// A running service.
pub(crate) struct Service {
    pub(crate) h1: SocketAddr,
    pub(crate) h2: SocketAddr,
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) tasks: Tasks,
}

/// Starts a service with the site `www.example.org` and these backends.
pub(crate) async fn serve(backends: &[SocketAddr]) -> Service {
    ServiceSetup::new()
        .site("www.example.org", backends)
        .start()
        .await
}

async fn listen(http: &Arc<Http>, sni: Option<HostName>, tasks: &Tasks, is_h2: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (http, group) = (Arc::clone(http), tasks.clone());
    let places = Arc::new(Semaphore::new(1000));
    tasks.spawn(async move {
        while let Ok((stream, client)) = listener.accept().await {
            let permit = Arc::clone(&places).acquire_owned().await.unwrap();
            let connection = HttpConnection {
                stream,
                is_h2,
                info: ConnInfo::new(client, sni.clone()),
                slot: permit.into(),
            };
            let (http, shutdown) = (Arc::clone(&http), group.shutdown());
            group.spawn(async move { http.serve(connection, &shutdown).await });
        }
    });
    address
}

pub(crate) type AnyBody = BoxBody<Bytes, Infallible>;

pub(crate) fn empty() -> AnyBody {
    Empty::new().boxed()
}

/// Builds a body of these frames, without a known length.
pub(crate) fn frames(frames: Vec<Frame<Bytes>>) -> AnyBody {
    let frames = frames.into_iter().map(Ok);
    BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))
}

impl Service {
    /// Waits until the backends have this number of requests and tunnels in flight.
    pub(crate) async fn in_flight(&self, count: usize) {
        let backends = || {
            self.upstreams
                .iter()
                .flat_map(|upstream| upstream.backends())
        };
        let sum = || backends().map(|backend| backend.in_flight()).sum::<usize>();
        soon(async {
            while sum() != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Sends one request over HTTP/1.1.
    pub(crate) async fn fetch1(&self, request: Request<AnyBody>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.h1).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        self.tasks.spawn(connection);
        let response = soon(sender.send_request(request)).await.unwrap();
        self.tasks.spawn(async move {
            let _sender = sender;
            std::future::pending::<()>().await
        });
        response
    }

    /// Opens a connection for HTTP/2 requests.
    pub(crate) async fn client2(&self) -> http2::SendRequest<AnyBody> {
        let stream = TcpStream::connect(self.h2).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        self.tasks.spawn(connection);
        sender
    }

    /// Sends one request over HTTP/2.
    pub(crate) async fn fetch2(&self, request: Request<AnyBody>) -> Response<Incoming> {
        let mut client = self.client2().await;
        soon(client.send_request(request)).await.unwrap()
    }
}
