//! A named group of backends, and the way of a request through it.

use std::sync::Arc;

use http::header::UPGRADE;
use http::{Method, Request, Response};
use tokio::sync::Semaphore;
use tracing::warn;

use super::address::Address;
use super::backend::{Backend, InFlight};
use super::balance::Balancer;
use super::body::{RequestBody, ResponseBody};
use super::connect::{Dialer, Needs};
use super::error::Error;
use super::exchange::{Failure, exchange};
use super::lease::Lease;
use super::options::Options;
use super::pool::Pool;
use super::resolve::{DnsServer, Resolver};
use super::tls::TlsError;
use crate::tasks::Tasks;

/// How many backends one request may try to connect to.
const CONNECT_ATTEMPTS: usize = 3;

/// What all upstreams share.
#[derive(Clone, Debug)]
pub struct Means {
    /// Runs what goes on when no request waits for it.
    pub tasks: Tasks,
    /// Bounds the open connections.
    pub places: Arc<Semaphore>,
    /// How many runtimes send requests. A connection stays with the one that it was made on.
    pub workers: usize,
    /// Knows where the hosts of backends are.
    pub resolver: Resolver,
}

impl Means {
    /// Those of a single runtime without a bound, with the system's resolver.
    #[must_use]
    pub fn new(tasks: Tasks) -> Self {
        let places = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self {
            resolver: Resolver::new(vec![DnsServer::System], tasks.clone()),
            tasks,
            places,
            workers: 1,
        }
    }
}

/// Backends that serve the same requests.
#[derive(Debug)]
pub struct Upstream {
    backends: Vec<Backend>,
    balancer: Balancer,
    options: Options,
    dialer: Dialer,
}

impl Upstream {
    /// An upstream of these addresses. Reads what TLS needs if one of them is behind it.
    pub fn new(addresses: Vec<Address>, options: Options, means: &Means) -> Result<Self, TlsError> {
        let dialer = Dialer::new(&addresses, &options, means)?;
        let backend = |address: Address| {
            let host = address.host().and_then(|host| means.resolver.host(host));
            let (timeout, tasks) = (options.idle_timeout, &means.tasks);
            let pool = |_| Pool::for_host(host.clone(), timeout, tasks.clone());
            Backend::new(address, (0..means.workers.max(1)).map(pool))
        };
        Ok(Self {
            backends: addresses.into_iter().map(backend).collect(),
            balancer: Balancer::default(),
            options,
            dialer,
        })
    }

    /// The backends in the order of their addresses.
    #[must_use]
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// Sends `request`, whose head goes out as it is, and returns the response when its head has arrived.
    ///
    /// A backend that takes no connection is passed over for the next one. A request on a reused connection that dies is
    /// sent once more, on a new one, when that is safe: not a byte of it was sent, or not a byte of an answer has come
    /// and the request has no body and an idempotent method (RFC 9110 section 9.2.2).
    ///
    /// Dropping the future, or the response's body before its end, cuts the connection. `worker` is the number of the
    /// runtime that this runs on.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
        worker: usize,
    ) -> Result<Response<ResponseBody>, Error> {
        let first = self
            .balancer
            .pick(&self.backends, worker)
            .ok_or(Error::NoBackend)?;
        let needs = Needs {
            is_upgrade: self.dialer.has_http2() && request.headers().contains_key(UPGRADE),
            is_fresh: false,
        };
        let mut lease = match self.reuse(first, worker, needs) {
            Some(lease) => lease,
            // Boxed, so that the many requests that need no connection carry no room for making one.
            None => Box::pin(self.open(first, worker, needs)).await?,
        };
        loop {
            let is_reused = lease.is_reused();
            let spare = is_reused.then(|| replica(&request)).flatten();
            let failure = match exchange(lease, request, self.options.response_timeout).await {
                Ok(response) => return Ok(response),
                Err(failure) if is_reused => failure,
                Err(failure) => return Err(failure.error),
            };
            let again = again(failure, spare)?;
            request = again.0;
            let first = self.position(&again.1, worker);
            drop(again.1);
            // A new one: another that waited might be as dead.
            let needs = Needs {
                is_fresh: true,
                ..needs
            };
            lease = Box::pin(self.open(first, worker, needs)).await?;
        }
    }

    fn position(&self, in_flight: &InFlight, worker: usize) -> usize {
        let mut backends = self.backends.iter();
        let position = backends.position(|backend| in_flight.is_at(backend.lane(worker)));
        position.unwrap_or_default()
    }

    /// A connection that waits for a request to this backend.
    fn reuse(&self, backend: usize, worker: usize, needs: Needs) -> Option<Lease> {
        let in_flight = InFlight::enter(self.backends[backend].lane(worker));
        let waiting = in_flight
            .pool()
            .check_out(in_flight.address(), needs.is_upgrade)?;
        Some(Lease::reused(waiting, in_flight))
    }

    /// A new connection to the backend `first`, or to the next that takes one, or has one waiting where that may do.
    async fn open(&self, first: usize, worker: usize, needs: Needs) -> Result<Lease, Error> {
        let count = self.backends.len();
        let mut attempt = 0;
        loop {
            let backend = (first + attempt) % count;
            if !needs.is_fresh
                && attempt > 0
                && let Some(lease) = self.reuse(backend, worker, needs)
            {
                return Ok(lease);
            }
            attempt += 1;
            let in_flight = InFlight::enter(self.backends[backend].lane(worker));
            match self.dialer.connect(in_flight, needs).await {
                Err(error) if error.is_connect() && attempt < count.min(CONNECT_ATTEMPTS) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "backend passed over"
                    );
                }
                outcome => return outcome,
            }
        }
    }
}

/// A copy of a request that may be sent twice.
fn replica(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.body().is_empty() || !is_idempotent(request.method()) {
        return None;
    }
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// What to send once more after `failure`, if anything.
fn again(
    failure: Failure,
    spare: Option<Request<RequestBody>>,
) -> Result<(Request<RequestBody>, InFlight), Error> {
    let spare = spare.filter(|_| failure.is_silent);
    match failure.unsent.or(spare) {
        Some(request) => Ok((request, failure.in_flight)),
        None => Err(failure.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::empty());
        *request.method_mut() = method;
        request
    }

    #[test]
    fn only_idempotent_methods_are_kept_for_a_replay() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert!(replica(&request(method.clone())).is_some(), "{method}");
        }
        for method in ["POST", "PATCH", "CONNECT", "PROPFIND", "get"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert!(replica(&request(method.clone())).is_none(), "{method}");
        }
    }

    fn failure(unsent: Option<Request<RequestBody>>, is_silent: bool) -> Failure {
        let address = Address::parse("127.0.0.1:1").unwrap();
        let upstream = Upstream::new(vec![address], Options::default(), &Means::new(Tasks::new()));
        let upstream = upstream.unwrap();
        Failure {
            error: Error::RequestStalled,
            unsent,
            is_silent,
            in_flight: InFlight::enter(upstream.backends[0].lane(0)),
        }
    }

    #[test]
    fn a_request_that_was_never_sent_may_be_sent_whatever_its_method() {
        let failure = failure(Some(request(Method::POST)), false);
        let (request, in_flight) = again(failure, None).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert!(in_flight.address().to_string().contains("127.0.0.1:1"));
    }

    #[test]
    fn a_spare_is_sent_only_while_no_answer_has_begun() {
        assert!(again(failure(None, true), Some(request(Method::GET))).is_ok());
        assert!(again(failure(None, false), Some(request(Method::GET))).is_err());
        assert!(again(failure(None, true), None).is_err());
    }
}
