//! The way of a request: the one path that all protocols take.

use std::future::Future;
use std::mem;
use std::sync::Arc;

use http::header::STRICT_TRANSPORT_SECURITY;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;

use super::access_log::Entry;
use super::body::Body;
use super::error::{Error, Reason, RejectedEarly, WorkerRefusals};
use super::guards::{Admission, Guards, Verdict, Visit, enter};
use super::handler::Handler;
use super::request::{
    ConnInfo, Facts, Fields, HeaderScan, Host, RequestIds, forwarded, framing, hop_by_hop, host,
    request_id,
};
use super::respond::refusal_page;
use super::routing::{CurrentRouter, Route, Router, Site};
use super::service_options::ServiceOptions;
use super::websocket::upgrade;
use crate::tasks::Tasks;
use crate::upstream::{
    self, Caller, ClientAddresses, ClientBody, Interims, RequestBody, ResponseBody, Upstream,
};

/// Answers requests, mostly by forwarding them. Clones are cheap and the same service.
#[derive(Clone, Debug)]
pub struct ProxyService {
    router: Arc<CurrentRouter>,
    options: Arc<ServiceOptions>,
    tasks: Tasks,
    worker: usize,
    request_ids: Arc<RequestIds>,
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
            request_ids: Arc::new(RequestIds::new()),
            refusals: Arc::default(),
        }
    }

    /// The same service for the runtime of this number, which has `tasks` of its own.
    #[must_use]
    pub fn for_worker(&self, worker: usize, tasks: Tasks) -> Self {
        Self {
            worker,
            tasks,
            request_ids: Arc::new(RequestIds::new()),
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
    pub fn note_rejected_early(&self, conn: &ConnInfo, unread: RejectedEarly) {
        self.refusals.count(unread.reason);
        if let Some(log) = self.router.current(self.worker).access_log() {
            log.note_rejected_early(conn, unread);
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
        conn: &Arc<ConnInfo>,
        interims: Option<Interims>,
    ) -> Response<Body> {
        let version = request.version();
        let is_head = *request.method() == Method::HEAD;
        let scan = HeaderScan::of(request.headers());
        let router = self.router.current(self.worker);
        let mut notes = Notes {
            entry: router.access_log().map(|log| log.begin(&request, conn)),
            hsts: None,
            interims,
        };
        if scan.has(Fields::EXPECT) && hop_by_hop::expects_continue(&request) {
            request.body_mut().wait_for_continue();
        }
        let expectation = match scan.has(Fields::EXPECT) && version < Version::HTTP_2 {
            true => request.body().expect_continue().cloned(),
            false => None,
        };
        let mut response = match self
            .forward(request, scan, (&router, conn, &mut notes))
            .await
        {
            Ok(mut response) => {
                if version == Version::HTTP_2 {
                    hop_by_hop::detach(response.headers_mut());
                }
                response
            }
            Err(error) => self.refuse(&error, (version, conn), &mut notes.entry),
        };
        if expectation.is_some_and(|expectation| !expectation.is_met()) {
            refusal_page::end_unasked(&mut response);
        }
        if is_head {
            response = refusal_page::as_head(response);
        }
        if let Some(hsts) = notes.hsts {
            let fields = response.headers_mut();
            fields.entry(STRICT_TRANSPORT_SECURITY).or_insert(hsts);
        }
        if let Some(mut entry) = notes.entry {
            entry.answered(response.status(), !response.body().is_end_stream());
            response.body_mut().log(Some(entry));
        }
        response
    }

    async fn forward(
        &self,
        mut request: Request<RequestBody>,
        scan: HeaderScan,
        (router, conn, notes): (&Router, &ConnInfo, &mut Notes),
    ) -> Result<Response<Body>, Error> {
        framing::check(&request, scan, &self.options)?;
        let target = framing::origin_form(&request)?;
        let host = Host::of(&request)?;
        let site = host::site(router, &host, conn)?;
        notes.hsts = site.guards.as_deref().and_then(Guards::hsts);
        let told = conn.told_client(request.headers());
        let facts = Facts {
            conn,
            host: &host,
            client: told.as_ref().unwrap_or_else(|| conn.forwarded_for()),
        };
        let mut way = Way {
            site,
            scan,
            target,
            facts,
            request_id: None,
            interims: notes.interims.as_ref(),
        };
        let entry = &mut notes.entry;
        let Some(features) = site.features.as_deref() else {
            return self.admit(&mut request, way, entry).await;
        };
        let version = request.version();
        let asked = (request.headers(), version, conn);
        let wish = features.wish(asked, &self.request_ids, entry);
        way.request_id.clone_from(&wish.request_id);
        let outcome = match features.is_closed() {
            true => Err(Error::Maintenance),
            false => Box::pin(self.admit(&mut request, way, entry)).await,
        };
        let response = outcome.unwrap_or_else(|error| {
            let mut response = self.refuse(&error, (version, conn), entry);
            features.put_page(&mut response);
            response
        });
        Ok(features.dress(response, wish))
    }

    /// Lets a request in that the site's guards let pass.
    async fn admit(
        &self,
        request: &mut Request<RequestBody>,
        way: Way<'_>,
        entry: &mut Option<Box<Entry>>,
    ) -> Result<Response<Body>, Error> {
        let guards = way.site.guards.as_deref();
        if guards.is_none() {
            return self.act(request, way, (None, entry)).await;
        }
        let visit = Visit {
            conn: way.facts.conn,
            host: way.facts.host,
            target: &way.target,
            scan: way.scan,
            worker: self.worker,
        };
        // Boxed, like all that most requests do without: each of them would carry room for it.
        let admission = match Box::pin(enter(guards, request, visit)).await? {
            Verdict::Pass(None) => return Box::pin(self.act(request, way, (None, entry))).await,
            Verdict::Pass(Some(admission)) => admission,
            Verdict::Answered(response) => {
                self.note(Reason::ForwardAuthRefused, entry);
                return pass_back(*response, request.method());
            }
        };
        let response = Box::pin(self.act(request, way, (Some(&admission), entry))).await?;
        Ok(admission.complete(response))
    }

    /// Lets the route's handler answer.
    async fn act(
        &self,
        request: &mut Request<RequestBody>,
        way: Way<'_>,
        (admission, entry): (Option<&Admission>, &mut Option<Box<Entry>>),
    ) -> Result<Response<Body>, Error> {
        let route = way.site.routes.route(way.target.path())?;
        let facts = way.facts;
        let mut response = match &route.handler {
            Handler::Upstream(upstream) => {
                let trip = Trip {
                    upstream,
                    route,
                    admission,
                    way,
                };
                self.exchange(request, trip, entry).await?
            }
            Handler::Redirect(redirect) => {
                refusal_page::redirection(redirect, facts.host, &way.target)?
            }
            // Over HTTP/2 a client would take success for an open WebSocket.
            Handler::Respond(_) if request.method() == Method::CONNECT => {
                return Err(Error::Connect);
            }
            Handler::Respond(fixed) => fixed.answer(request.method()),
            Handler::Files(files) => {
                let path = route.target(way.target.clone())?;
                Box::pin(files.answer(request, &path, &way.target)).await?
            }
        };
        if let Some(changes) = &route.response_headers {
            changes.apply(response.headers_mut(), facts);
        }
        Ok(response)
    }

    /// Lets a backend answer.
    async fn exchange(
        &self,
        request: &mut Request<RequestBody>,
        trip: Trip<'_>,
        entry: &mut Option<Box<Entry>>,
    ) -> Result<Response<Body>, Error> {
        let Trip { route, way, .. } = trip;
        let method = request.method().clone();
        let switch = upgrade::asked(request, way.scan);
        prepare(request, &way);
        if let Some(wish) = &switch {
            wish.ask(request);
        }
        if let Some(admission) = trip.admission {
            admission.grant(request);
        }
        route.change_request(request, way.facts);
        framing::frame_request(request, way.scan, route.target(way.target)?);
        if trip.upstream.sends_proxy_header() {
            announce(request, way.facts.conn);
        }
        if let Some(interims) = way.interims.filter(|_| !route.changes_links()) {
            upstream::listen_for_interims(request, interims);
        }
        let conn = way.facts.conn;
        let caller = Caller {
            worker: self.worker,
            client: match trip.upstream.uses_client_address() {
                true => conn.address(request.headers()),
                false => conn.client.ip(),
            },
        };
        let request = mem::replace(request, Request::new(RequestBody::empty()));
        let sending = trip.upstream.send(request, caller);
        let response = match trip.admission {
            None => sending.await?,
            Some(admission) => Box::pin(admission.within(sending)).await?,
        };
        if let (Some(entry), Some(backend)) = (entry.as_mut(), response.body().backend()) {
            entry.sent_to(backend);
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let patience = self.options.body_timeout;
            return upgrade::switch(response, switch, entry, (&self.tasks, patience));
        }
        if let Some(wish) = switch {
            wish.check(response.status())?;
        }
        pass_back(response, &method)
    }

    /// The proxy's own answer.
    fn refuse(
        &self,
        error: &Error,
        (version, conn): (Version, &ConnInfo),
        entry: &mut Option<Box<Entry>>,
    ) -> Response<Body> {
        self.note(error.reason(), entry);
        if let (Some(entry), Some(backend)) = (entry, error.backend()) {
            entry.sent_to(backend);
        }
        refusal_page::refusal(error, version, conn, self.router.failures())
    }

    /// Counts a refusal, and tells the access log why.
    fn note(&self, reason: Reason, entry: &mut Option<Box<Entry>>) {
        self.refusals.count(reason);
        if let Some(entry) = entry {
            entry.refused(reason);
        }
    }
}

/// What is kept of a request beside its answer.
struct Notes {
    entry: Option<Box<Entry>>,
    hsts: Option<HeaderValue>,
    interims: Option<Interims>,
}

/// A request on its way through a site.
struct Way<'r> {
    site: &'r Site,
    scan: HeaderScan,
    target: PathAndQuery,
    facts: Facts<'r>,
    request_id: Option<HeaderValue>,
    interims: Option<&'r Interims>,
}

/// The last stretch of the way, to a backend.
struct Trip<'r> {
    upstream: &'r Upstream,
    route: &'r Route,
    admission: Option<&'r Admission>,
    way: Way<'r>,
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

/// Leaves word for a backend that wants to know its client before the first request.
fn announce(request: &mut Request<RequestBody>, conn: &ConnInfo) {
    let addresses = ClientAddresses {
        source: conn.speaker(request.headers()),
        destination: conn.local,
    };
    request.extensions_mut().insert(addresses);
}

/// Makes the client's head the backend's: nothing of the client's connection, and the proxy's own word on the client.
fn prepare(request: &mut Request<RequestBody>, way: &Way<'_>) {
    request.extensions_mut().clear();
    hop_by_hop::strip_request(request.headers_mut(), way.scan);
    let Facts { conn, host, .. } = way.facts;
    forwarded::set(request.headers_mut(), way.scan, host, conn);
    if let Some(identity) = conn.identity() {
        identity.tell(request.headers_mut());
    }
    if let Some(id) = &way.request_id {
        request_id::tell(request, id);
    }
}
