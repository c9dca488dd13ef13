//! The active health check: a request that is sent at intervals to learn whether a backend works.

use std::sync::{Arc, Weak};

use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Extensions, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::settings::UpstreamSettings;
use crate::backoff::spread;
use crate::per_worker::CachePadded;
use crate::upstream::address::Address;
use crate::upstream::backend::{HealthState, InFlight, Lane};
use crate::upstream::body::RequestBody;
use crate::upstream::connection::Pool;
use crate::upstream::error::{BodyError, Error};
use crate::upstream::exchange::{ConnectionNeeds, ResponseBody, exchange};
use crate::upstream::options::HealthOptions;

/// Number of bytes of a response that are read before the check counts as good.
const MAX_BODY: usize = 64 * 1024;
const JITTER: f64 = 0.1;

/// Reasons why a check fails.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("the health check got no response")]
    Exchange(#[from] Error),
    #[error("the health check was answered with status {0}")]
    Status(StatusCode),
    #[error("the response to the health check broke off")]
    Body(#[from] BodyError),
    #[error("the health check took too long")]
    Late,
}

impl CheckError {
    /// `true` if the proxy itself lacked what a connection needs.
    fn is_own(&self) -> bool {
        matches!(self, Self::Exchange(error) if !error.is_fault())
    }
}

/// Checks one backend for as long as its health is used.
pub(super) struct HealthCheck {
    address: Address,
    health: HealthOptions,
    settings: Arc<UpstreamSettings>,
}

/// Checks in a row with the same outcome.
#[derive(Debug)]
struct Streak {
    is_up: bool,
    /// Before the first check, which counts at once.
    is_new: bool,
    contrary: u16,
}

impl Streak {
    /// Records a check. Returns the new state, if this changes it.
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
    /// Starts checks of the backend at `address`, once for all workers, until `health_state` is dropped or the tasks stop. Must be
    /// called on a runtime, which runs the checks.
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
            is_up: health_state.upgrade().is_none_or(|found| !found.is_down()),
            is_new: true,
            contrary: 0,
        };
        // Not all backends at once.
        let mut pause = self.health.interval.mul_f64(fastrand::f64() * JITTER);
        loop {
            tokio::time::sleep(pause).await;
            if health_state.strong_count() == 0 {
                return;
            }
            // A lack of permits is the proxy's own, and says nothing about the backend.
            let Ok(permit) = self.settings.dialer.permit().await else {
                return;
            };
            let outcome = self.check(permit).await;
            let Some(health_state) = health_state.upgrade() else {
                return;
            };
            if outcome.as_ref().is_err_and(CheckError::is_own) {
                warn!(backend = %self.address, "backend cannot be checked, because the proxy has no file descriptor or port left");
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
            let error = outcome.err();
            let error = error.as_ref().map(|error| error as &dyn std::error::Error);
            warn!(backend = %self.address, error, "backend is down");
        }
    }

    async fn check(&self, permit: OwnedSemaphorePermit) -> Result<(), CheckError> {
        let checking = timeout(self.health.timeout, self.ask(permit));
        checking.await.unwrap_or(Err(CheckError::Late))
    }

    async fn ask(&self, permit: OwnedSemaphorePermit) -> Result<(), CheckError> {
        // A lane of its own: a check is no load, and its connection serves no other request.
        let pool = Pool::new(
            self.settings.options.idle_timeout,
            self.settings.context.tasks.clone(),
        );
        let lane = Lane::new(&self.address, pool);
        let in_flight = InFlight::enter(&lane, None);
        // Sent for no client.
        let proxy_header = self.settings.options.send_proxy;
        let proxy_header = proxy_header.map(|version| version.header(&Extensions::new()));
        let needs = ConnectionNeeds {
            is_upgrade: false,
            is_fresh: true,
            proxy_header: proxy_header.as_deref(),
        };
        let lease = self.settings.dialer.open(in_flight, needs, permit).await?;
        let exchanged = exchange(lease, self.request(), self.health.timeout);
        let response = exchanged.await.map_err(|failure| failure.error)?;
        let (head, body) = response.into_parts();
        if !self.health.expect.has(head.status) {
            return Err(CheckError::Status(head.status));
        }
        Ok(read(body).await?)
    }

    fn request(&self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::empty());
        *request.uri_mut() = self.health.path.parse().unwrap_or_default();
        let host = self.health.host.clone();
        let host = host.unwrap_or_else(|| self.address.authority());
        let headers = request.headers_mut();
        if let Ok(host) = HeaderValue::try_from(host) {
            headers.insert(HOST, host);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static("proxy-health-check"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        request
    }
}

/// Reads a response to its end, or up to the limit.
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
    fn it_takes_checks_in_a_row_to_fall_and_to_rise() {
        assert_eq!(states("+--+--+---"), [(9, false)]);
        assert_eq!(states("+----+-++-"), [(3, false), (8, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_is_not_down_because_the_proxy_has_no_room_for_connections() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::parse(&nobody.local_addr().unwrap().to_string()).unwrap();
        drop(nobody);
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
    fn the_first_check_counts_at_once() {
        assert_eq!(states("-+-++"), [(0, false), (4, true)]);
        assert_eq!(states("+-+-+-"), []);
    }
}
