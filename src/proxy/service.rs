//! The way of a request: the one path that all protocols take.

use std::sync::Arc;
use std::time::Duration;

use http::header::STRICT_TRANSPORT_SECURITY;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::body::Body;
use super::conn_info::ConnInfo;
use super::error::Error;
use super::guards::{Entry, Guards, Passage, Visit, enter};
use super::header_changes::Facts;
use super::host::Host;
use super::router::{Router, Site};
use super::routers::Routers;
use super::routes::{Handler, Route};
use super::survey::{Fields, Survey};
use super::{forwarded, framing, headers, host, respond, upgrade};
use crate::tasks::Tasks;
use crate::upstream::{RequestBody, ResponseBody, Upstream};

/// What one request may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceOptions {
    /// Fields in a request's head, HTTP/2's cookie crumbs counted one by one.
    pub head_fields: usize,
    /// Bytes of a request's head.
    pub head_size: usize,
    /// How long a body may make no progress, in either direction.
    pub body_timeout: Duration,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            head_fields: 100,
            head_size: 32 * 1024,
            body_timeout: Duration::from_secs(60),
        }
    }
}

/// Answers requests, mostly by forwarding them. Clones are cheap and the same service.
#[derive(Clone, Debug)]
pub struct ProxyService {
    routers: Arc<Routers>,
    options: Arc<ServiceOptions>,
    tasks: Tasks,
    worker: usize,
}

impl ProxyService {
    /// A service that routes by the router which is current when a request comes, and runs its tunnels among `tasks`.
    #[must_use]
    pub fn new(routers: Arc<Routers>, options: ServiceOptions, tasks: Tasks) -> Self {
        Self {
            routers,
            options: Arc::new(options),
            tasks,
            worker: 0,
        }
    }

    /// The same service for the runtime of this number, which has `tasks` of its own.
    #[must_use]
    pub fn for_worker(&self, worker: usize, tasks: Tasks) -> Self {
        Self {
            worker,
            tasks,
            ..self.clone()
        }
    }

    /// Answers one request that came on the connection `conn`. Dropping the future cuts the exchange with the backend.
    pub async fn call(&self, request: Request<Incoming>, conn: &Arc<ConnInfo>) -> Response<Body> {
        let version = request.version();
        let survey = Survey::of(request.headers());
        let mut hsts = None;
        let request = self.take(request, survey);
        let mut response = match self.forward(request, survey, conn, &mut hsts).await {
            Ok(mut response) => {
                if version == Version::HTTP_2 {
                    headers::detach(response.headers_mut());
                }
                response
            }
            Err(error) => respond::refusal(&error, version, conn),
        };
        if let Some(hsts) = hsts {
            let fields = response.headers_mut();
            fields.entry(STRICT_TRANSPORT_SECURITY).or_insert(hsts);
        }
        response
    }

    async fn forward(
        &self,
        mut request: Request<RequestBody>,
        survey: Survey,
        conn: &ConnInfo,
        hsts: &mut Option<HeaderValue>,
    ) -> Result<Response<Body>, Error> {
        framing::check(&request, survey, &self.options)?;
        let target = framing::origin_form(&request)?;
        let host = Host::of(&request)?;
        let router = self.routers.current(self.worker);
        let site = site(&router, &host, conn)?;
        let guards = site.guards.as_deref();
        *hsts = guards.and_then(Guards::hsts);
        let visit = Visit {
            conn,
            host: &host,
            target: &target,
            survey,
            worker: self.worker,
        };
        let passage = match enter(guards, &mut request, visit).await? {
            Entry::Pass(passage) => passage,
            Entry::Answered(response) => {
                let answer = self.pass_back(*response, request.method(), None);
                return answer.map(|answer| respond::as_answer_to(answer, request.method()));
            }
        };
        let passage = passage.as_deref();
        let route = site.routes.route(target.path())?;
        let facts = Facts { conn, host: &host };
        let mut response = match &route.handler {
            Handler::Upstream(upstream) => {
                let way = Way {
                    upstream,
                    route,
                    survey,
                    facts,
                    passage,
                };
                self.exchange(request, target, way).await?
            }
            Handler::Redirect(redirect) => respond::redirection(redirect, &host, &target)?,
            Handler::Respond(fixed) => fixed.answer(request.method()),
            Handler::Files(files) => {
                let path = route.target(target.clone())?;
                files.answer(&request, &path, &target).await?
            }
        };
        if let Some(changes) = &route.response_headers {
            changes.apply(response.headers_mut(), facts);
        }
        Ok(match passage {
            Some(passage) => passage.bound(response),
            None => response,
        })
    }

    /// Lets a backend answer.
    async fn exchange(
        &self,
        mut request: Request<RequestBody>,
        target: PathAndQuery,
        way: Way<'_>,
    ) -> Result<Response<Body>, Error> {
        let target = way.route.target(target)?;
        let method = request.method().clone();
        let client = upgrade::asked(&mut request, way.survey);
        prepare(&mut request, way.survey, way.facts.host, way.facts.conn);
        if client.is_some() {
            upgrade::ask(request.headers_mut());
        }
        if let Some(passage) = way.passage {
            passage.grant(request.headers_mut());
        }
        way.route.change_request(request.headers_mut(), way.facts);
        framing::frame_request(&mut request, way.survey, target);
        let sending = way.upstream.send(request, self.worker);
        let response = match way.passage {
            None => sending.await?,
            Some(passage) => Box::pin(passage.within(sending)).await?,
        };
        self.pass_back(response, &method, client)
    }

    /// Takes charge of the body, so that however the request ends, its client is read out before it is answered.
    fn take(&self, request: Request<Incoming>, survey: Survey) -> Request<RequestBody> {
        let is_http2 = request.version() == Version::HTTP_2;
        let timeout = self.options.body_timeout;
        request.map(|incoming| {
            let mut body = RequestBody::new(incoming, is_http2, timeout, &self.tasks);
            if survey.has(Fields::EXPECT) {
                body.let_go_early();
            }
            body
        })
    }

    fn pass_back(
        &self,
        mut response: Response<ResponseBody>,
        method: &Method,
        client: Option<OnUpgrade>,
    ) -> Result<Response<Body>, Error> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return upgrade::switch(response, client, &self.tasks);
        }
        let survey = Survey::of(response.headers());
        framing::frame_response(&mut response, survey, method)?;
        headers::strip_hop_by_hop(response.headers_mut(), survey);
        *response.version_mut() = Version::HTTP_11;
        Ok(response.map(Body::upstream))
    }
}

/// The way of a request to a backend.
struct Way<'r> {
    upstream: &'r Upstream,
    route: &'r Route,
    survey: Survey,
    facts: Facts<'r>,
    passage: Option<&'r Passage>,
}

/// The site of the host, if this connection may reach it.
fn site<'a>(router: &'a Router, host: &Host, conn: &ConnInfo) -> Result<&'a Site, Error> {
    let site = router.site(host.name()).ok_or(Error::UnknownHost)?;
    match host::is_served_under(conn.sni.as_ref(), host.name(), site, router) {
        true => Ok(site),
        false => Err(Error::Misdirected),
    }
}

/// Makes the client's head the backend's: nothing of the client's connection, and the proxy's own word on the client.
fn prepare(request: &mut Request<RequestBody>, survey: Survey, host: &Host, conn: &ConnInfo) {
    request.extensions_mut().clear();
    headers::strip_request(request.headers_mut(), survey);
    forwarded::set(request.headers_mut(), survey, host, conn);
}
