//! The way of a request: the one path that all protocols take.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::body::Body;
use super::conn_info::ConnInfo;
use super::error::Error;
use super::host::Host;
use super::router::{Action, Router, Site};
use super::routers::Routers;
use super::survey::{Fields, Survey};
use super::{forwarded, framing, headers, host, respond, upgrade};
use crate::tasks::Tasks;
use crate::upstream::{Caller, RequestBody, ResponseBody};

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
        match self.forward(self.take(request, survey), survey, conn).await {
            Ok(mut response) => {
                if version == Version::HTTP_2 {
                    headers::detach(response.headers_mut());
                }
                response
            }
            Err(error) => respond::refusal(&error, version, conn),
        }
    }

    async fn forward(
        &self,
        mut request: Request<RequestBody>,
        survey: Survey,
        conn: &ConnInfo,
    ) -> Result<Response<Body>, Error> {
        framing::check(&request, survey, &self.options)?;
        let target = framing::origin_form(&request)?;
        let host = Host::of(&request)?;
        let router = self.routers.current(self.worker);
        let site = route(&router, &host, conn)?;
        let upstream = match &site.action {
            Action::Upstream(upstream) => upstream,
            Action::Redirect(redirect) => return respond::redirection(redirect, &target),
        };
        let method = request.method().clone();
        let client = upgrade::asked(&mut request, survey);
        prepare(&mut request, survey, &host, conn);
        if client.is_some() {
            upgrade::ask(request.headers_mut());
        }
        framing::frame_request(&mut request, survey, target);
        let caller = Caller {
            worker: self.worker,
            client: conn.client.ip(),
        };
        let response = upstream.send(request, caller).await?;
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

/// The site of the host, if this connection may reach it.
fn route<'a>(router: &'a Router, host: &Host, conn: &ConnInfo) -> Result<&'a Site, Error> {
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
