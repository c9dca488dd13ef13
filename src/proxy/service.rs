//! The proxy service: the one path that the requests of all protocols take.

use std::future::Future;
use std::mem;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, Version};

use super::body::Body;
use super::error::{Error, Reason, RejectedEarly, WorkerRefusals};
use super::guards::{AdmissionEffects, GuardOutcome};
use super::handler::Handler;
use super::request::{
    ConnInfo, Fields, RequestContext, RequestIds, forwarded, framing, hop_by_hop, request_id,
};
use super::respond::{self, finish_response};
use super::routing::{CurrentRouter, Route, Router, Routes, Site, webdav_destination};
use super::service_options::ServiceOptions;
use super::site_features::SiteFeatures;
use super::websocket::upgrade::{self, Tunnels, Upgrade};
use crate::per_worker::CachePadded;
use crate::tasks::Tasks;
use crate::upstream::{self, ClientBody, ExpectContinue, Interims, RequestBody, Upstream};

/// Responds to requests, mostly by forwarding them. Clones are cheap and share the service's state.
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
    /// Creates a service. Each request is routed by the router that is current when it arrives; tunnels run among
    /// `tasks`.
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

    /// Returns the service for the worker with this number, which runs tunnels among its own `tasks`.
    #[must_use]
    pub fn for_worker(&self, worker: usize, tasks: Tasks) -> Self {
        Self {
            worker,
            tasks,
            request_ids: Arc::new(CachePadded::new(RequestIds::new())),
            ..self.clone()
        }
    }

    /// Returns the service with its refusals counted in `refusals`.
    #[must_use]
    pub fn counting(self, refusals: Arc<WorkerRefusals>) -> Self {
        Self { refusals, ..self }
    }

    /// Number of the worker that runs the service.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// Counters of the service's refusals.
    #[must_use]
    pub fn refusals(&self) -> &WorkerRefusals {
        &self.refusals
    }

    /// Routers by which the requests are routed, and what is kept of requests.
    #[must_use]
    pub fn current_router(&self) -> &Arc<CurrentRouter> {
        &self.router
    }

    /// Counts and logs a request that was refused before it reached the service.
    pub fn note_rejected_early(&self, conn: &ConnInfo, rejected: RejectedEarly) {
        self.refusals.count(rejected.reason);
        let router = self.router.current(self.worker);
        router.observer().note_rejected_early(conn, rejected);
    }

    /// Responds to one request of the connection `conn`. Interim responses go to `interims`, if the client can take
    /// them. Dropping the future aborts the exchange with the backend.
    pub fn call<B: Into<ClientBody>>(
        &self,
        request: Request<B>,
        conn: &Arc<ConnInfo>,
        interims: Option<Interims>,
    ) -> impl Future<Output = Response<Body>> {
        // The body is taken over first, so that however the request ends, the rest of the upload is read before the
        // response.
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
        context.join_cookies(&mut request);
        context.interims = interims;
        context.observe(&request, router.observer());
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
            finish_response::close_connection(&mut response);
        }
        if is_head {
            response = finish_response::without_body(response);
        }
        finish_response::complete(&mut response, context);
        response
    }

    /// Finds the request's site and serves the request with it.
    async fn forward(
        &self,
        mut request: Request<RequestBody>,
        router: &Router,
        context: &mut RequestContext<'_>,
    ) -> Result<Response<Body>, Error> {
        context.read_head(&request, &self.options)?;
        context.pass_trace_on(request.headers_mut());
        let site = router.site_for(context)?;
        let counted = site.figures.begin(context.worker);
        request.body_mut().count_in(counted.figures());
        context.counted = Some(counted);
        context.hsts = site.hsts(context.conn, request.headers());
        match site.features.as_deref() {
            None => self.admit(&mut request, site, context).await,
            // Boxed, like all that few requests need: otherwise the future of every request would have room for it.
            Some(features) => {
                Ok(Box::pin(self.serve_with(features, &mut request, site, context)).await)
            }
        }
    }

    /// Serves a request with the site's features around it.
    async fn serve_with(
        &self,
        features: &SiteFeatures,
        request: &mut Request<RequestBody>,
        site: &Site,
        context: &mut RequestContext<'_>,
    ) -> Response<Body> {
        let wish = features.begin(request.headers_mut(), context, &self.request_ids);
        let outcome = if features.is_in_maintenance() {
            Err(Error::Maintenance)
        } else {
            self.admit(request, site, context).await
        };
        let response = outcome.unwrap_or_else(|error| {
            let mut response = self.refuse(&error, context);
            features.put_page(&mut response);
            response
        });
        features.finish(response, wish, context)
    }

    /// Finds the route of a request, checks the request with the guards of the route or its site, and handles it if they
    /// admit it.
    async fn admit(
        &self,
        request: &mut Request<RequestBody>,
        site: &Site,
        context: &mut RequestContext<'_>,
    ) -> Result<Response<Body>, Error> {
        let route = site.routes.route(context.target.path());
        if let (Some(entry), Ok(route)) = (&mut context.entry, &route) {
            entry.routed(route.prefix.as_str());
        }
        let Some(guards) = site.guards_of(route.as_ref().ok().copied()) else {
            return self.handle(request, site, route?, None, context).await;
        };
        // Boxed for the reason given in `forward`.
        match Box::pin(guards.check(request, context)).await? {
            GuardOutcome::Admitted(admission) => {
                // A path without a route is refused after the guards, so that strangers do not learn which paths exist.
                let effects = admission.as_deref();
                let handling = self.handle(request, site, route?, effects, context);
                let response = Box::pin(handling).await?;
                Ok(match admission {
                    None => response,
                    Some(admission) => admission.complete(response),
                })
            }
            GuardOutcome::Answered(response) => {
                self.note(Reason::ForwardAuthRefused, context);
                finish_response::pass_back(*response, request.method())
            }
        }
    }

    /// Responds to a request with the handler of its route.
    async fn handle(
        &self,
        request: &mut Request<RequestBody>,
        site: &Site,
        route: &Route,
        admission: Option<&AdmissionEffects>,
        context: &mut RequestContext<'_>,
    ) -> Result<Response<Body>, Error> {
        let mut response = match &route.handler {
            Handler::Upstream(upstream) => {
                let destination = Destination {
                    upstream,
                    routes: &site.routes,
                    route,
                    admission,
                };
                self.exchange(request, destination, context).await?
            }
            Handler::Redirect(redirect) => redirect.answer(context)?,
            // An HTTP/2 client would take a success for an open WebSocket.
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

    /// Forwards a request to a backend.
    async fn exchange(
        &self,
        request: &mut Request<RequestBody>,
        destination: Destination<'_>,
        context: &mut RequestContext<'_>,
    ) -> Result<Response<Body>, Error> {
        let method = request.method().clone();
        let upgrade = upgrade::requested(request, context.scan);
        let upstream = destination.upstream;
        if upstream.wants_buffer(request.body()) {
            let memory = context.conn.memory();
            let buffering = Box::pin(upstream.buffer(request, context.interims.as_ref(), memory));
            match destination.admission {
                None => buffering.await?,
                Some(admission) => admission.within(buffering).await?,
            }
        }
        let is_secure = upstream.uses_cookies() && context.conn.is_secure(request.headers());
        prepare(request, upgrade.as_ref(), destination, context)?;
        let mut caller = context.caller(request.headers());
        caller.is_secure = is_secure;
        if upstream.uses_client_address() {
            caller.client = context.conn.client_ip(request.headers());
        }
        let sending = upstream.send(mem::take(request), caller);
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
                stall_timeout: self.options.body_timeout,
                route_end: &destination.route.tunnels_end,
            };
            return upgrade::switch_protocols(response, upgrade, context, tunnels);
        }
        if let Some(upgrade) = upgrade {
            upgrade.check(response.status())?;
        }
        finish_response::pass_back(response, &method)
    }

    /// Builds the proxy's own response to a request that failed.
    fn refuse(&self, error: &Error, context: &mut RequestContext<'_>) -> Response<Body> {
        self.note(error.reason(), context);
        if let (Some(entry), Some(backend)) = (&mut context.entry, error.backend()) {
            entry.sent_to(backend);
        }
        let (host, router) = (context.host.name(), self.router.snapshot());
        let request = respond::RefusedRequest {
            version: context.version,
            host,
            site: router.site(host).map(|site| &site.pattern),
            client: context.conn.client,
            accepts_html: context.scan.accepts_html,
        };
        respond::refusal(error, request, self.router.failure_log())
    }

    /// Counts a refusal, and records its reason in the access log entry.
    fn note(&self, reason: Reason, context: &mut RequestContext<'_>) {
        self.refusals.count(reason);
        if let Some(entry) = &mut context.entry {
            entry.refused(reason);
        }
    }
}

/// Destination of a request that an upstream handles.
#[derive(Clone, Copy)]
struct Destination<'r> {
    upstream: &'r Upstream,
    routes: &'r Routes,
    route: &'r Route,
    admission: Option<&'r AdmissionEffects>,
}

/// Prepares the body of a client that waits for `100 Continue`, so that the backend decides whether it is sent. For
/// HTTP/1.1, returns the state of the expectation: if it is not met, the connection must be closed.
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

/// Prepares a client's request for the backend: removes all that concerns the client's connection, and sets the proxy's
/// own fields about the client.
fn prepare(
    request: &mut Request<RequestBody>,
    upgrade: Option<&Upgrade>,
    destination: Destination<'_>,
    context: &mut RequestContext<'_>,
) -> Result<(), Error> {
    let Destination {
        upstream,
        routes,
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
    if context.scan.has(Fields::DESTINATION) {
        context.dav_destination = webdav_destination::take(request, route, routes, context)?;
    }
    route.change_request(request, context);
    let target = route.target(context.take_target())?;
    framing::frame_request(request, context.scan, target);
    if upstream.sends_proxy_header() {
        let addresses = context.conn.client_addresses(request.headers());
        request.extensions_mut().insert(addresses);
    }
    if let Some(interims) = context.interims.as_ref().filter(|_| !route.changes_links()) {
        upstream::listen_for_interims(request, interims);
    }
    Ok(())
}
