//! The way of a request: the one path that all protocols take.

use std::future::Future;
use std::mem;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, Version};

use super::body::Body;
use super::error::{Error, Reason, RejectedEarly, WorkerRefusals};
use super::guards::{Admission, GuardOutcome, Guards};
use super::handler::Handler;
use super::request::{
    ConnInfo, Fields, HeaderScan, RequestContext, RequestIds, forwarded, framing, hop_by_hop,
    request_id,
};
use super::respond::{self, last_steps};
use super::routing::{CurrentRouter, Route, Router, Site};
use super::service_options::ServiceOptions;
use super::site_features::SiteFeatures;
use super::websocket::upgrade::{self, Tunnels, WebSocketUpgrade};
use crate::per_worker::CachePadded;
use crate::tasks::Tasks;
use crate::upstream::{
    self, Caller, ClientAddresses, ClientBody, ExpectContinue, Interims, RequestBody, ResponseBody,
    Upstream,
};

/// Answers requests, mostly by forwarding them. Clones are cheap and the same service.
#[derive(Clone, Debug)]
pub struct ProxyService {
    router: Arc<CurrentRouter>,
    options: Arc<ServiceOptions>,
    tasks: Tasks,
    worker: usize,
    request_ids: Arc<CachePadded<RequestIds>>,
    refusals: Arc<WorkerRefusals>,
}

impl ProxyService {
    /// A service that routes by the router which is current when a request comes, and runs its tunnels among `tasks`.
    #[must_use]
    pub fn new(router: Arc<CurrentRouter>, options: ServiceOptions, tasks: Tasks) -> Self {
        Self {
            router,
            options: Arc::new(options),
            tasks,
            worker: 0,
            request_ids: Arc::new(CachePadded::new(RequestIds::new())),
            refusals: Arc::default(),
        }
    }

    /// The same service for the worker with this number, which has `tasks` of its own.
    #[must_use]
    pub fn for_worker(&self, worker: usize, tasks: Tasks) -> Self {
        Self {
            worker,
            tasks,
            request_ids: Arc::new(CachePadded::new(RequestIds::new())),
            ..self.clone()
        }
    }

    /// The same service, whose refusals are counted in `refusals`.
    #[must_use]
    pub fn counting(self, refusals: Arc<WorkerRefusals>) -> Self {
        Self { refusals, ..self }
    }

    /// Where its refusals are counted.
    #[must_use]
    pub fn refusals(&self) -> &WorkerRefusals {
        &self.refusals
    }

    /// Counts a request that was refused before it came here, and writes its line.
    pub fn note_rejected_early(&self, conn: &ConnInfo, rejected: RejectedEarly) {
        self.refusals.count(rejected.reason);
        if let Some(log) = self.router.current(self.worker).access_log() {
            log.note_rejected_early(conn.client, rejected);
        }
    }

    /// Answers one request that came on the connection `conn`, whose client gets `interims` where it can. Dropping the
    /// future cuts the exchange with the backend.
    pub fn call<B: Into<ClientBody>>(
        &self,
        request: Request<B>,
        conn: &Arc<ConnInfo>,
        interims: Option<Interims>,
    ) -> impl Future<Output = Response<Body>> {
        // Takes charge of the body, so that however the request ends, its client is read out before it is answered.
        let timeout = self.options.body_timeout;
        let request = request.map(|body| RequestBody::new(body.into(), timeout, &self.tasks));
        self.answer(request, conn, interims)
    }

    async fn answer(
        &self,
        mut request: Request<RequestBody>,
        conn: &ConnInfo,
        interims: Option<Interims>,
    ) -> Response<Body> {
        let router = self.router.current(self.worker);
        let mut context = RequestContext::new(&request, conn, self.worker);
        context.interims = interims;
        context.entry = router.access_log().map(|log| {
            let client = conn.client_addr(request.headers());
            log.begin(&request, client)
        });
        let expectation = expect_continue(&mut request, &context);
        let is_head = *request.method() == Method::HEAD;
        let mut response = match self.forward(request, &router, &mut context).await {
            Ok(mut response) => {
                if context.version == Version::HTTP_2 {
                    hop_by_hop::detach(response.headers_mut());
                }
                response
            }
            Err(error) => self.refuse(&error, &mut context),
        };
        if expectation.is_some_and(|expectation| !expectation.is_met()) {
            last_steps::close_connection(&mut response);
        }
        if is_head {
            response = last_steps::as_head(response);
        }
        last_steps::complete(&mut response, context);
        response
    }

    /// Finds the request's site, and lets that serve it.
    async fn forward(
        &self,
        mut request: Request<RequestBody>,
        router: &Router,
        context: &mut RequestContext<'_>,
    ) -> Result<Response<Body>, Error> {
        context.read_head(&request, &self.options)?;
        let site = router.site_for(context)?;
        context.hsts = site.guards.as_deref().and_then(Guards::hsts);
        match site.features.as_deref() {
            None => self.admit(&mut request, site, context).await,
            // Boxed, like all that most requests do without: each of them would carry room for it.
            Some(features) => {
                Ok(Box::pin(self.serve_with(features, &mut request, site, context)).await)
            }
        }
    }

    /// Serves a request of a site that has features beyond routes and guards.
    async fn serve_with(
        &self,
        features: &SiteFeatures,
        request: &mut Request<RequestBody>,
        site: &Site,
        context: &mut RequestContext<'_>,
    ) -> Response<Body> {
        let coding = features.begin(request.headers(), context, &self.request_ids);
        let outcome = if features.is_closed() {
            Err(Error::Maintenance)
        } else {
            self.admit(request, site, context).await
        };
        let response = outcome.unwrap_or_else(|error| {
            let mut response = self.refuse(&error, context);
            features.put_page(&mut response);
            response
        });
        features.finish(response, coding, context)
    }

    /// Lets a request in that the site's guards let pass.
    async fn admit(
        &self,
        request: &mut Request<RequestBody>,
        site: &Site,
        context: &mut RequestContext<'_>,
    ) -> Result<Response<Body>, Error> {
        let Some(guards) = site.guards.as_deref() else {
            return self.handle(request, site, None, context).await;
        };
        // Boxed, as above.
        match Box::pin(guards.check(request, context)).await? {
            GuardOutcome::Admitted(admission) => {
                let handling = self.handle(request, site, admission.as_deref(), context);
                let response = Box::pin(handling).await?;
                Ok(match admission {
                    None => response,
                    Some(admission) => admission.complete(response),
                })
            }
            GuardOutcome::Answered(response) => {
                self.note(Reason::ForwardAuthRefused, context);
                pass_back(*response, request.method())
            }
        }
    }

    /// Lets the route's handler answer.
    async fn handle(
        &self,
        request: &mut Request<RequestBody>,
        site: &Site,
        admission: Option<&Admission>,
        context: &mut RequestContext<'_>,
    ) -> Result<Response<Body>, Error> {
        let route = site.routes.route(context.target.path())?;
        let mut response = match &route.handler {
            Handler::Upstream(upstream) => {
                let destination = Destination {
                    upstream,
                    route,
                    admission,
                };
                self.exchange(request, destination, context).await?
            }
            Handler::Redirect(redirect) => redirect.answer(context)?,
            // Over HTTP/2 a client would take success for an open WebSocket.
            Handler::Respond(_) if request.method() == Method::CONNECT => {
                return Err(Error::Connect);
            }
            Handler::Respond(fixed) => fixed.answer(request.method()),
            Handler::Files(files) => {
                let path = route.target(context.target.clone())?;
                Box::pin(files.answer(request, &path, &context.target)).await?
            }
        };
        if let Some(changes) = &route.response_headers {
            changes.apply(response.headers_mut(), context);
        }
        Ok(response)
    }

    /// Lets a backend answer.
    async fn exchange(
        &self,
        request: &mut Request<RequestBody>,
        destination: Destination<'_>,
        context: &mut RequestContext<'_>,
    ) -> Result<Response<Body>, Error> {
        let method = request.method().clone();
        let upgrade = upgrade::requested(request, context.scan);
        make_ready(request, upgrade.as_ref(), destination, context)?;
        let caller = destination.caller(request, context);
        let request = mem::replace(request, Request::new(RequestBody::empty()));
        let sending = destination.upstream.send(request, caller);
        let response = match destination.admission {
            None => sending.await?,
            Some(admission) => Box::pin(admission.within(sending)).await?,
        };
        if let (Some(entry), Some(backend)) = (&mut context.entry, response.body().backend()) {
            entry.sent_to(backend);
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let tunnels = Tunnels {
                tasks: &self.tasks,
                patience: self.options.body_timeout,
            };
            return upgrade::switch(response, upgrade, &mut context.entry, tunnels);
        }
        if let Some(upgrade) = upgrade {
            upgrade.check(response.status())?;
        }
        pass_back(response, &method)
    }

    /// Makes the proxy's own response to a request that failed.
    fn refuse(&self, error: &Error, context: &mut RequestContext<'_>) -> Response<Body> {
        self.note(error.reason(), context);
        if let (Some(entry), Some(backend)) = (&mut context.entry, error.backend()) {
            entry.sent_to(backend);
        }
        respond::refusal(
            error,
            context.version,
            context.conn.client,
            self.router.failure_log(),
        )
    }

    /// Counts a refusal, and records its reason for the access log.
    fn note(&self, reason: Reason, context: &mut RequestContext<'_>) {
        self.refusals.count(reason);
        if let Some(entry) = &mut context.entry {
            entry.refused(reason);
        }
    }
}

/// Where a request goes that an upstream answers.
#[derive(Clone, Copy)]
struct Destination<'r> {
    upstream: &'r Upstream,
    route: &'r Route,
    admission: Option<&'r Admission>,
}

impl Destination<'_> {
    fn caller(&self, request: &Request<RequestBody>, context: &RequestContext<'_>) -> Caller {
        let conn = context.conn;
        Caller {
            worker: context.worker,
            client: if self.upstream.uses_client_address() {
                conn.client_ip(request.headers())
            } else {
                conn.client.ip()
            },
        }
    }
}

/// Lets a client of HTTP/1.1 or later that waits for `100 Continue` be asked for its body. Returns what becomes of that, where
/// the connection ends if nobody asks.
fn expect_continue(
    request: &mut Request<RequestBody>,
    context: &RequestContext<'_>,
) -> Option<ExpectContinue> {
    if !context.scan.has(Fields::EXPECT) {
        return None;
    }
    if hop_by_hop::expects_continue(request) {
        request.body_mut().wait_for_continue();
    }
    if context.version >= Version::HTTP_2 {
        return None;
    }
    request.body().expect_continue().cloned()
}

/// Makes the client's request the backend's: nothing of the client's connection is left in it, and only the proxy tells of
/// the client.
fn make_ready(
    request: &mut Request<RequestBody>,
    upgrade: Option<&WebSocketUpgrade>,
    destination: Destination<'_>,
    context: &mut RequestContext<'_>,
) -> Result<(), Error> {
    let Destination {
        upstream,
        route,
        admission,
    } = destination;
    request.extensions_mut().clear();
    hop_by_hop::strip_request(request.headers_mut(), context.scan);
    forwarded::set(request.headers_mut(), context);
    if let Some(identity) = context.conn.identity() {
        identity.set_fields(request.headers_mut());
    }
    if let Some(id) = &context.request_id {
        request_id::set(request, id);
    }
    if let Some(upgrade) = upgrade {
        upgrade.pass_on(request);
    }
    if let Some(admission) = admission {
        admission.grant(request);
    }
    route.change_request(request, context);
    let target = route.target(context.take_target())?;
    framing::frame_request(request, context.scan, target);
    if upstream.sends_proxy_header() {
        announce(request, context.conn);
    }
    if let Some(interims) = context.interims.as_ref().filter(|_| !route.changes_links()) {
        upstream::listen_for_interims(request, interims);
    }
    Ok(())
}

fn pass_back(
    mut response: Response<ResponseBody>,
    method: &Method,
) -> Result<Response<Body>, Error> {
    let scan = HeaderScan::of(response.headers());
    framing::frame_response(&mut response, scan, method)?;
    hop_by_hop::strip_hop_by_hop(response.headers_mut(), scan);
    *response.version_mut() = Version::HTTP_11;
    Ok(response.map(Body::upstream))
}

/// Tells the addresses of the connection to a backend that wants to know its client before the first request.
fn announce(request: &mut Request<RequestBody>, conn: &ConnInfo) {
    let addresses = ClientAddresses {
        source: conn.client_addr(request.headers()),
        destination: conn.local,
    };
    request.extensions_mut().insert(addresses);
}
