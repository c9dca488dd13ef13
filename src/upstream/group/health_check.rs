//! Active health check: a request that is sent at intervals to find out if a backend works.

use std::sync::{Arc, Weak};

use http::header::{CONNECTION, HOST, USER_AGENT};
use http::uri::Authority;
use http::{Extensions, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::settings::UpstreamSettings;
use crate::backoff::spread;
use crate::name::HostName;
use crate::per_worker::CachePadded;
use crate::printable::with_causes;
use crate::upstream::address::Address;
use crate::upstream::backend::{HealthState, InFlight, Lane};
use crate::upstream::body::RequestBody;
use crate::upstream::connection::Pool;
use crate::upstream::error::{BodyError, Error};
use crate::upstream::exchange::{
    ConnectionNeeds, ExchangeTerms, ResponseBody, exchange, refuse_tls_port,
};
use crate::upstream::options::{BackendHost, HealthOptions};

/// Number of bytes of a response body that are read at most; the rest does not matter for the check.
const MAX_BODY: usize = 64 * 1024;
/// Part of the interval by which it varies at random, so that checks do not all run at once.
const JITTER: f64 = 0.1;

/// Reasons why a check failed.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("the health check got no response")]
    Exchange(#[from] Error),
    #[error("the health check got status {0}")]
    Status(StatusCode),
    #[error("the response to the health check ended early")]
    Body(#[from] BodyError),
    #[error("the health check timed out")]
    Timeout,
}

impl CheckError {
    /// `true` if the proxy itself has no resources left for a connection, which says nothing about the backend.
    fn is_own_shortage(&self) -> bool {
        matches!(self, Self::Exchange(error) if !error.is_fault())
    }
}

/// Health check of one backend.
pub(super) struct HealthCheck {
    address: Address,
    health: HealthOptions,
    settings: Arc<UpstreamSettings>,
}

/// Turns the outcomes of checks into the state of the backend.
#[derive(Debug)]
struct Streak {
    is_up: bool,
    /// `true` before the first check, which takes effect at once.
    is_new: bool,
    /// Number of last checks in a row that contradict `is_up`.
    contrary: u16,
}

impl Streak {
    /// Records the outcome of a check. Returns the new state if it has changed.
    fn record(&mut self, is_good: bool, health: &HealthOptions) -> Option<bool> {
        let is_new = std::mem::take(&mut self.is_new);
        if is_good == self.is_up {
            self.contrary = 0;
            return None;
        }
        self.contrary += 1;
        let needed = if self.is_up { health.fall } else { health.rise };
        if self.contrary < needed && !is_new {
            return None;
        }
        self.contrary = 0;
        self.is_up = is_good;
        Some(is_good)
    }
}

impl HealthCheck {
    /// Starts the checks of the backend at `address`, if the settings ask for them. One task serves all workers. It
    /// ends when `health_state` is dropped or the tasks stop. Must be called on a runtime.
    pub(super) fn start(
        address: &Address,
        health_state: &Arc<CachePadded<HealthState>>,
        settings: &Arc<UpstreamSettings>,
    ) {
        let Some(health) = settings.options.balancing.health.clone() else {
            return;
        };
        let check = Self {
            address: address.clone(),
            health,
            settings: Arc::clone(settings),
        };
        let tasks = &settings.context.tasks;
        let (health_state, shutdown) = (Arc::downgrade(health_state), tasks.shutdown());
        tasks.spawn(async move {
            tokio::select! {
                () = check.run(health_state) => {}
                () = shutdown.requested() => {}
            }
        });
    }

    async fn run(self, health_state: Weak<CachePadded<HealthState>>) {
        let mut streak = Streak {
            is_up: health_state.upgrade().is_none_or(|state| !state.is_down()),
            is_new: true,
            contrary: 0,
        };
        // A random start, so that the backends are not all checked at once.
        let mut pause = self.health.interval.mul_f64(fastrand::f64() * JITTER);
        loop {
            tokio::time::sleep(pause).await;
            if health_state.strong_count() == 0 {
                return;
            }
            // The wait for a permit is not part of the check: it says nothing about the backend.
            let Ok(permit) = self.settings.dialer.permit().await else {
                return;
            };
            let outcome = self.check(permit).await;
            let Some(health_state) = health_state.upgrade() else {
                return;
            };
            let failure = outcome.as_ref().err();
            let failure = failure.map(|error| error as &dyn std::error::Error);
            health_state.record().checked(failure);
            if outcome.as_ref().is_err_and(CheckError::is_own_shortage) {
                warn!(backend = %self.address, "health check not possible: the proxy has no file descriptor or port left");
            } else if let Some(is_up) = streak.record(outcome.is_ok(), &self.health) {
                self.apply(is_up, outcome, &health_state);
            }
            pause = spread(self.health.interval, JITTER);
        }
    }

    fn apply(&self, is_up: bool, outcome: Result<(), CheckError>, health_state: &HealthState) {
        if is_up {
            health_state.mark_up(Instant::now());
            info!(backend = %self.address, "backend is up");
        } else {
            health_state.mark_down();
            let error = outcome.err().map(|error| with_causes(&error));
            warn!(backend = %self.address, error = error.map(tracing::field::display), "backend is down");
        }
    }

    async fn check(&self, permit: OwnedSemaphorePermit) -> Result<(), CheckError> {
        let checking = timeout(self.health.timeout, self.send(permit));
        checking.await.unwrap_or(Err(CheckError::Timeout))
    }

    async fn send(&self, permit: OwnedSemaphorePermit) -> Result<(), CheckError> {
        let (head, body) = self.response(permit).await?.into_parts();
        if !self.health.expect.has(head.status) {
            return Err(CheckError::Status(head.status));
        }
        Ok(read(body).await?)
    }

    /// Sends one request to the backend at `address`, and returns the status of its response, whatever it is.
    pub(super) async fn status_of(
        address: &Address,
        settings: &Arc<UpstreamSettings>,
        health: &HealthOptions,
    ) -> Result<StatusCode, Error> {
        let check = Self {
            address: address.clone(),
            health: health.clone(),
            settings: Arc::clone(settings),
        };
        let Ok(permit) = settings.dialer.permit().await else {
            return Err(Error::ConnectionLimit);
        };
        Ok(check.response(permit).await?.status())
    }

    async fn response(
        &self,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<ResponseBody>, Error> {
        // A separate lane: a check does not count as load, and no other request uses its connection.
        let pool = Pool::new(
            self.settings.options.idle_timeout,
            self.settings.context.tasks.clone(),
        );
        let lane = Lane::new(&self.address, pool);
        let in_flight = InFlight::enter(&lane, None);
        // Without addresses in the extensions, the header says that the connection is for no client.
        let proxy_header = self.settings.options.send_proxy;
        let proxy_header = proxy_header.map(|version| version.header(&Extensions::new()));
        let server_name = self.server_name();
        let needs = ConnectionNeeds {
            is_upgrade: false,
            is_fresh: true,
            proxy_header: proxy_header.as_deref(),
            server_name: server_name.as_ref(),
            share: None,
        };
        let lease = self.settings.dialer.open(in_flight, needs, permit).await?;
        let terms = ExchangeTerms {
            limit: self.health.timeout,
            bound: None,
            has_connection_login: false,
            figures: None,
        };
        let exchanged = exchange(lease, self.request(), terms);
        let response = exchanged.await.map_err(|failure| failure.error)?;
        refuse_tls_port(response, true).await
    }

    /// Host that the TLS handshake names, if it is that of the request.
    fn server_name(&self) -> Option<HostName> {
        let host = self.health.host.as_deref()?.parse::<Authority>().ok()?;
        let is_used = self.settings.dialer.uses_client_host();
        is_used.then(|| HostName::parse(host.host()).ok()).flatten()
    }

    fn request(&self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::empty());
        *request.uri_mut() = self.health.path.parse().unwrap_or_default();
        let host = match (&self.health.host, &self.settings.options.http.host) {
            (Some(host), _) => HeaderValue::try_from(host),
            (None, BackendHost::Client) => HeaderValue::try_from(self.address.authority()),
            (None, BackendHost::Upstream) => HeaderValue::try_from(self.address.host_field()),
            (None, BackendHost::Name(host)) => Ok(host.clone()),
        };
        let headers = request.headers_mut();
        if let Ok(host) = host {
            headers.insert(HOST, host);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static("proxy-health-check"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        request
    }
}

/// Reads a body to its end or up to [`MAX_BODY`].
async fn read(mut body: ResponseBody) -> Result<(), BodyError> {
    let mut read = 0;
    while read < MAX_BODY
        && let Some(frame) = body.frame().await
    {
        read += frame?.data_ref().map_or(0, |data| data.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::tasks::Tasks;
    use crate::upstream::options::{Options, UpstreamContext};

    fn states(checks: &str) -> Vec<(usize, bool)> {
        let health = HealthOptions::new("/".to_owned());
        let mut streak = Streak {
            is_up: true,
            is_new: true,
            contrary: 0,
        };
        let checks = checks.chars().enumerate();
        checks
            .filter_map(|(number, sign)| Some((number, streak.record(sign == '+', &health)?)))
            .collect()
    }

    #[test]
    fn the_state_changes_after_enough_checks_in_a_row() {
        assert_eq!(states("+--+--+---"), [(9, false)]);
        assert_eq!(states("+----+-++-"), [(3, false), (8, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_is_not_marked_down_while_the_proxy_has_no_connection_permits() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::parse(&closed.local_addr().unwrap().to_string()).unwrap();
        drop(closed);
        let mut options = Options::default();
        options.balancing.health = Some(HealthOptions::new("/".to_owned()));
        let mut context = UpstreamContext::new(Tasks::new());
        context.connection_permits = Arc::new(Semaphore::new(0));
        let settings = Arc::new(
            UpstreamSettings::new(std::slice::from_ref(&address), options, &context).unwrap(),
        );
        let health_state = Arc::new(CachePadded::new(HealthState::new(
            &settings.options.balancing,
        )));
        HealthCheck::start(&address, &health_state, &settings);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(!health_state.is_down());
        context.connection_permits.add_permits(1);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(health_state.is_down());
    }

    #[test]
    fn the_first_check_takes_effect_at_once() {
        assert_eq!(states("-+-++"), [(0, false), (4, true)]);
        assert_eq!(states("+-+-+-"), []);
    }
}
