//! The active check: a request that is sent now and then to learn whether a backend works.

use std::sync::{Arc, Weak};

use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Extensions, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::address::Address;
use super::backend::{InFlight, Lane};
use super::balance::HealthOptions;
use super::body::{RequestBody, ResponseBody};
use super::condition::Condition;
use super::connect::Needs;
use super::error::{BodyError, Error};
use super::exchange::exchange;
use super::pool::Pool;
use super::terms::Terms;
use crate::backoff::spread;

/// How much of an answer is read before it is good enough.
const ENOUGH: usize = 64 * 1024;
const JITTER: f64 = 0.1;

/// Why a check is a bad sign.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("the health check got no response")]
    Exchange(#[from] Error),
    #[error("the health check was answered with status {0}")]
    Status(StatusCode),
    #[error("the answer to the health check broke off")]
    Body(#[from] BodyError),
    #[error("the health check took too long")]
    Late,
}

impl CheckError {
    /// Whether the proxy itself was short of something.
    fn is_own(&self) -> bool {
        matches!(self, Self::Exchange(error) if !error.is_fault())
    }
}

/// Checks one backend for as long as its condition matters to anyone.
pub(super) struct HealthCheck {
    address: Address,
    health: HealthOptions,
    terms: Arc<Terms>,
}

/// The last checks in a row that were alike.
#[derive(Debug)]
struct Streak {
    is_up: bool,
    /// Nothing has been heard yet: the first word counts at once.
    is_new: bool,
    against: u16,
}

impl Streak {
    /// Takes note of a check. Returns the new state, if this changes it.
    fn note(&mut self, is_good: bool, health: &HealthOptions) -> Option<bool> {
        let is_new = std::mem::take(&mut self.is_new);
        if is_good == self.is_up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = match self.is_up {
            true => health.fall,
            false => health.rise,
        };
        if self.against < needed && !is_new {
            return None;
        }
        self.against = 0;
        self.is_up = is_good;
        Some(is_good)
    }
}

impl HealthCheck {
    /// Starts to check the backend at `address`, once for all runtimes, until `condition` is dropped or the group of tasks
    /// stops. Must be called on a runtime, which runs the checks.
    pub(super) fn start(address: &Address, condition: &Arc<Condition>, terms: &Arc<Terms>) {
        let Some(health) = terms.options.balancing.health.clone() else {
            return;
        };
        let check = Self {
            address: address.clone(),
            health,
            terms: Arc::clone(terms),
        };
        let tasks = &terms.means.tasks;
        let (condition, shutdown) = (Arc::downgrade(condition), tasks.shutdown());
        tasks.spawn(async move {
            tokio::select! {
                () = check.run(condition) => {}
                () = shutdown.requested() => {}
            }
        });
    }

    async fn run(self, condition: Weak<Condition>) {
        let mut streak = Streak {
            is_up: condition.upgrade().is_none_or(|found| !found.is_down()),
            is_new: true,
            against: 0,
        };
        // Not all backends at once.
        let mut pause = self.health.interval.mul_f64(fastrand::f64() * JITTER);
        loop {
            tokio::time::sleep(pause).await;
            if condition.strong_count() == 0 {
                return;
            }
            // Of what keeps the proxy from asking nothing is known, and it says nothing about the backend.
            let Ok(place) = self.terms.dialer.place().await else {
                return;
            };
            let outcome = self.check(place).await;
            let Some(condition) = condition.upgrade() else {
                return;
            };
            if outcome.as_ref().is_err_and(CheckError::is_own) {
                warn!(backend = %self.address, "backend cannot be checked, as the proxy has run short of what connections need");
            } else if let Some(is_up) = streak.note(outcome.is_ok(), &self.health) {
                self.tell(is_up, outcome, &condition);
            }
            pause = spread(self.health.interval, JITTER);
        }
    }

    fn tell(&self, is_up: bool, outcome: Result<(), CheckError>, condition: &Condition) {
        match is_up {
            true => {
                condition.come_up(Instant::now());
                info!(backend = %self.address, "backend is up");
            }
            false => {
                condition.go_down();
                let error = outcome.err();
                let error = error.as_ref().map(|error| error as &dyn std::error::Error);
                warn!(backend = %self.address, error, "backend is down");
            }
        }
    }

    async fn check(&self, place: OwnedSemaphorePermit) -> Result<(), CheckError> {
        let checking = timeout(self.health.timeout, self.ask(place));
        checking.await.unwrap_or(Err(CheckError::Late))
    }

    async fn ask(&self, place: OwnedSemaphorePermit) -> Result<(), CheckError> {
        // A lane of its own: a check is no load, and its connection is for nobody else and ends with it.
        let pool = Pool::new(
            self.terms.options.idle_timeout,
            self.terms.means.tasks.clone(),
        );
        let lane = Lane::new(&self.address, pool);
        let in_flight = InFlight::enter(&lane, None);
        // It is for no client but the proxy.
        let greeting = self.terms.options.send_proxy;
        let greeting = greeting.map(|version| version.header(&Extensions::new()));
        let needs = Needs {
            is_upgrade: false,
            is_fresh: true,
            greeting: greeting.as_deref(),
        };
        let lease = self.terms.dialer.open(in_flight, needs, place).await?;
        let exchanged = exchange(lease, self.request(), self.health.timeout);
        let response = exchanged.await.map_err(|failure| failure.error)?;
        let (head, body) = response.into_parts();
        match self.health.expect.has(head.status) {
            true => Ok(read(body).await?),
            false => Err(CheckError::Status(head.status)),
        }
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

/// Reads an answer to its end, or far enough.
async fn read(mut body: ResponseBody) -> Result<(), BodyError> {
    let mut read = 0;
    while read < ENOUGH
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
    use crate::upstream::means::Means;
    use crate::upstream::options::Options;

    fn states(checks: &str) -> Vec<(usize, bool)> {
        let health = HealthOptions::new("/".to_owned());
        let mut streak = Streak {
            is_up: true,
            is_new: true,
            against: 0,
        };
        let checks = checks.chars().enumerate();
        checks
            .filter_map(|(number, sign)| Some((number, streak.note(sign == '+', &health)?)))
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
        let mut means = Means::new(Tasks::new());
        means.places = Arc::new(Semaphore::new(0));
        let terms = Arc::new(Terms::new(std::slice::from_ref(&address), options, &means).unwrap());
        let condition = Arc::new(Condition::new(&terms.options.balancing));
        HealthCheck::start(&address, &condition, &terms);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(!condition.is_down());
        means.places.add_permits(1);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(condition.is_down());
    }

    #[test]
    fn the_first_check_counts_at_once() {
        assert_eq!(states("-+-++"), [(0, false), (4, true)]);
        assert_eq!(states("+-+-+-"), []);
    }
}
