//! A named group of backends, and the way of a request through it.

use std::sync::Arc;

use http::header::UPGRADE;
use http::{Request, Response};
use tokio::time::Instant;
use tracing::debug;

use super::address::Address;
use super::backend::{Backend, InFlight};
use super::balance::Balancer;
use super::body::{RequestBody, ResponseBody};
use super::connect::Needs;
use super::error::Error;
use super::exchange::{Failure, exchange};
use super::lease::Lease;
use super::means::Means;
use super::members::Members;
use super::options::Options;
use super::queue::Queue;
use super::retry::{RetryBudget, replica};
use super::roster::Roster;
use super::terms::Terms;
use super::tls::TlsError;
use super::trip::{Caller, Stop, Trip};

/// How many backends one request may try to connect to.
const CONNECT_ATTEMPTS: usize = 3;

/// Backends that serve the same requests.
#[derive(Debug)]
pub struct Upstream {
    members: Members,
    queue: Queue,
    /// Those of each runtime.
    budgets: Box<[RetryBudget]>,
    terms: Arc<Terms>,
}

impl Upstream {
    /// An upstream of these addresses. Reads what TLS needs if one of them is behind it. Where backends are checked or
    /// addresses are names, a runtime must be entered, which runs the checks and follows the names.
    pub fn new(addresses: Vec<Address>, options: Options, means: &Means) -> Result<Self, TlsError> {
        Self::succeeding(&[], addresses, options, means)
    }

    /// The same, where a backend whose address is among those of `old` upstreams keeps its state: its health, and with the
    /// same deadlines and trust its connections and what is in flight. A backend that is gone serves what it has to the end
    /// and gets nothing more.
    pub fn succeeding(
        old: &[Arc<Self>],
        addresses: Vec<Address>,
        options: Options,
        means: &Means,
    ) -> Result<Self, TlsError> {
        let terms = Arc::new(Terms::new(&addresses, options, means)?);
        let balancing = &terms.options.balancing;
        let budget = |_| RetryBudget::new(balancing.retry_percent);
        Ok(Self {
            queue: Queue::new(balancing.queue.into(), balancing.queue_timeout),
            budgets: (0..means.workers.max(1)).map(budget).collect(),
            members: Members::new(addresses, old, &terms),
            terms,
        })
    }

    /// Whether the same addresses and options would make the same upstream now: the files that TLS needs hold what they held,
    /// and whoever is asked for names is asked for them still. Blocks while files are read.
    pub fn is_current(&self, means: &Means) -> Result<bool, TlsError> {
        let terms = &self.terms;
        let has_names = matches!(self.members, Members::Named(_));
        let is_asked_alike = !has_names || terms.means.resolver.is(&means.resolver);
        Ok(is_asked_alike && terms.dialer.is_current(&terms.options, means)?)
    }

    /// The backends in the order of their addresses, for those who look at them now and then.
    #[must_use]
    pub fn backends(&self) -> Vec<Backend> {
        self.members.backends()
    }

    /// Whether its backends want to know their clients: each request then carries [`ClientAddresses`].
    ///
    /// [`ClientAddresses`]: super::ClientAddresses
    #[must_use]
    pub fn announces_clients(&self) -> bool {
        self.terms.options.send_proxy.is_some()
    }

    /// Whether it matters to the choice of a backend which address a client has.
    #[must_use]
    pub fn tells_clients_apart(&self) -> bool {
        self.terms.options.balancing.balancer == Balancer::IpHash
    }

    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    pub(super) fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    /// How many requests wait for a backend that is not full.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Sends `request`, whose head goes out as it is, and returns the response when its head has arrived.
    ///
    /// A backend that takes no connection is passed over for the next one. A request on a reused connection that dies is
    /// sent once more, on a new one, when that is safe: the backend has not begun with it, or not a byte of an answer has
    /// come and the request has no body and an idempotent method (RFC 9110 section 9.2.2). One that a backend takes and drops is
    /// sent to another when that is as safe and within the budget of retries.
    ///
    /// Dropping the future, or the response's body before its end, cuts the connection.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
        caller: Caller,
    ) -> Result<Response<ResponseBody>, Error> {
        // Boxed, so that the many requests that need neither wait nor connect carry no room for it.
        let present = match self.members.present(caller.worker) {
            Some(present) => present,
            None => Box::pin(self.members.found(caller.worker)).await?,
        };
        let mut trip = self.trip(&present, &request, caller);
        let has_others = present.has_others();
        if has_others {
            self.budget(caller).count();
        }
        let stop = match trip.roster.pick(&trip)? {
            Some(stop) => stop,
            None => Box::pin(self.wait(&trip)).await?,
        };
        let (mut backend, mut lease) = match stop.reuse(&trip) {
            Ok(found) => found,
            Err(stop) => Box::pin(self.open(stop, &mut trip, false)).await?,
        };
        loop {
            let is_reused = lease.is_reused();
            let may_go_on = is_reused || has_others;
            let spare = may_go_on.then(|| replica(&request)).flatten();
            let failure = match exchange(lease, request, self.terms.options.response_timeout).await
            {
                Ok(response) => return Ok(self.receive(response, backend, &trip)),
                Err(failure) => failure,
            };
            let again = self.again((failure, is_reused), spare, backend, &mut trip);
            (request, backend, lease) = Box::pin(again).await?;
        }
    }

    fn trip<'a>(
        &self,
        roster: &'a Roster,
        request: &Request<RequestBody>,
        caller: Caller,
    ) -> Trip<'a> {
        let headers = request.headers();
        Trip {
            roster,
            caller,
            is_upgrade: self.terms.dialer.has_http2() && headers.contains_key(UPGRADE),
            wanted: roster.wanted(headers),
            tried: Vec::new(),
            retries: 0,
            greeting: self
                .terms
                .options
                .send_proxy
                .map(|version| version.header(request.extensions())),
        }
    }

    fn budget(&self, caller: Caller) -> &RetryBudget {
        &self.budgets[caller.worker % self.budgets.len()]
    }

    /// Takes note of how the backend has answered, and keeps the client to it where that is wished.
    fn receive(
        &self,
        mut response: Response<ResponseBody>,
        backend: usize,
        trip: &Trip<'_>,
    ) -> Response<ResponseBody> {
        if trip.roster.has_others() {
            let eject_status = self.terms.options.balancing.eject_status;
            match eject_status.is_some_and(|range| range.has(response.status())) {
                true => trip.roster.fail(backend),
                false => trip.roster.succeed(backend),
            }
        }
        let headers = response.headers_mut();
        trip.roster.keep(backend, trip.wanted, headers);
        response
    }

    /// The backend for a request, if need be after a wait for one that is not full.
    async fn next(&self, trip: &Trip<'_>) -> Result<Stop, Error> {
        match trip.roster.pick(trip)? {
            Some(stop) => Ok(stop),
            None => self.wait(trip).await,
        }
    }

    async fn wait(&self, trip: &Trip<'_>) -> Result<Stop, Error> {
        let worker = trip.caller.worker;
        let backends = trip.roster.backends();
        let mut full = Vec::new();
        for backend in trip.roster.candidates(trip) {
            if let Some(stop) = trip.roster.enter(backend, worker) {
                return Ok(stop);
            }
            let places = backends[backend].places();
            full.extend(places.map(|places| (backend, Arc::clone(places))));
        }
        if full.is_empty() {
            return Err(Error::NoHealthyBackend);
        }
        let (backend, place) = self.queue.wait(full).await?;
        let in_flight = InFlight::enter(backends[backend].lane(worker), Some(place.into()));
        Ok(Stop { backend, in_flight })
    }

    /// A connection to this backend, a new one if `is_fresh`, or one to the next that takes one or has one waiting.
    async fn open(
        &self,
        mut stop: Stop,
        trip: &mut Trip<'_>,
        is_fresh: bool,
    ) -> Result<(usize, Lease), Error> {
        let mut is_fresh = is_fresh;
        loop {
            let backend = stop.backend;
            let needs = Needs {
                is_upgrade: trip.is_upgrade,
                is_fresh,
                greeting: trip.greeting.as_deref(),
            };
            let opening = self.terms.dialer.connect(stop.in_flight, needs);
            let error = match opening.await {
                Ok(lease) => return Ok((backend, lease)),
                Err(error) if error.is_connect() => error,
                Err(error) => return Err(error),
            };
            if error.is_fault() {
                trip.roster.fail(backend);
            }
            trip.tried.push(backend);
            if !has_next(trip) {
                return Err(error);
            }
            let Ok(next) = self.next(trip).await else {
                return Err(error);
            };
            debug!(
                error = &error as &dyn std::error::Error,
                "backend passed over"
            );
            match next.reuse(trip) {
                Ok(found) => return Ok(found),
                Err(next) => stop = next,
            }
            is_fresh = false;
        }
    }

    /// What to send once more after a failure on the connection to `backend`, and where to, if that may be done.
    async fn again(
        &self,
        (failure, is_reused): (Failure, bool),
        spare: Option<Request<RequestBody>>,
        backend: usize,
        trip: &mut Trip<'_>,
    ) -> Result<(Request<RequestBody>, usize, Lease), Error> {
        let Failure {
            error,
            unsent,
            is_unprocessed,
            is_silent,
            in_flight,
        } = failure;
        if error.is_client() {
            return Err(error);
        }
        // A connection that has waited may have died of old age, which says nothing about the backend.
        let is_stale = is_reused && (is_silent || is_unprocessed);
        if !is_stale {
            trip.roster.fail(backend);
        }
        let Some(request) = unsent.or_else(|| spare.filter(|_| is_silent || is_unprocessed)) else {
            return Err(error);
        };
        if is_stale {
            // On a new one: another that waited might be as dead.
            let stop = Stop { backend, in_flight };
            let (backend, lease) = self.open(stop, trip, true).await?;
            return Ok((request, backend, lease));
        }
        drop(in_flight);
        trip.tried.push(backend);
        if !has_next(trip) || !self.may_retry(trip, is_unprocessed) {
            return Err(error);
        }
        trip.retries += 1;
        debug!(
            error = &error as &dyn std::error::Error,
            "request goes to another backend"
        );
        let Ok(stop) = self.next(trip).await else {
            return Err(error);
        };
        let (backend, lease) = match stop.reuse(trip) {
            Ok(found) => found,
            Err(stop) => self.open(stop, trip, false).await?,
        };
        Ok((request, backend, lease))
    }

    /// Whether a request may be sent to another backend. What none has begun with costs nothing.
    fn may_retry(&self, trip: &Trip<'_>, is_unprocessed: bool) -> bool {
        let (budget, most) = (
            self.budget(trip.caller),
            self.terms.options.balancing.retries,
        );
        is_unprocessed || (trip.retries < most && budget.take(Instant::now()))
    }
}

/// Whether there is a backend that the request may try yet.
fn has_next(trip: &Trip<'_>) -> bool {
    trip.tried.len() < trip.roster.backends().len().min(CONNECT_ATTEMPTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Tasks;
    use crate::upstream::balance::{Balancing, HealthOptions};
    use crate::upstream::members::Present;

    fn addresses(ports: &[u16]) -> Vec<Address> {
        let parse = |port: &u16| Address::parse(&format!("127.0.0.1:{port}")).unwrap();
        ports.iter().map(parse).collect()
    }

    fn upstream(old: &[Arc<Upstream>], ports: &[u16], balancing: Balancing) -> Arc<Upstream> {
        let options = Options {
            balancing: Box::new(balancing),
            ..Options::default()
        };
        let means = Means::new(Tasks::new());
        Arc::new(Upstream::succeeding(old, addresses(ports), options, &means).unwrap())
    }

    fn roster(upstream: &Upstream) -> Present<'_> {
        upstream.members.present(0).unwrap()
    }

    fn pick(upstream: &Upstream) -> Result<Option<Stop>, Error> {
        let caller = Caller {
            worker: 0,
            client: [192, 0, 2, 1].into(),
        };
        let request = Request::new(RequestBody::empty());
        let roster = roster(upstream);
        roster.pick(&upstream.trip(&roster, &request, caller))
    }

    fn limited(count: u16) -> Balancing {
        Balancing {
            max_connections: Some(count),
            ..Balancing::default()
        }
    }

    #[test]
    fn when_all_are_out_because_of_failures_any_is_better_than_none() {
        let upstream = upstream(&[], &[1, 2], Balancing::default());
        for backend in [0, 0, 0, 1, 1, 1] {
            roster(&upstream).fail(backend);
        }
        assert!(upstream.backends().iter().all(Backend::is_ejected));
        assert!(pick(&upstream).unwrap().is_some());
    }

    #[test]
    fn when_the_checks_say_that_all_are_down_none_is_tried() {
        for ports in [&[1][..], &[1, 2]] {
            let upstream = upstream(&[], ports, Balancing::default());
            for backend in upstream.backends() {
                backend.condition().go_down();
            }
            let picked = pick(&upstream);
            assert!(matches!(picked, Err(Error::NoHealthyBackend)));
        }
    }

    #[test]
    fn a_full_backend_is_passed_over_and_one_that_is_out_is_no_way_around_it() {
        let upstream = upstream(&[], &[1, 2], limited(1));
        let one = pick(&upstream).unwrap().unwrap();
        let other = pick(&upstream).unwrap().unwrap();
        assert_ne!(one.backend, other.backend);
        assert!(pick(&upstream).unwrap().is_none());
        drop(one.in_flight);
        for _ in 0..3 {
            roster(&upstream).fail(one.backend);
        }
        assert!(pick(&upstream).unwrap().is_none());
        assert!(!roster(&upstream).backends()[other.backend].has_room());
    }

    #[test]
    fn a_backend_whose_address_stays_keeps_its_state() {
        let old = upstream(&[], &[1, 2], limited(1));
        let stop = old.backends()[1].enter(0).unwrap();
        old.backends()[1].condition().go_down();
        let new = upstream(&[Arc::clone(&old)], &[2, 3], limited(1));
        assert_eq!(new.backends()[0].in_flight(), 1);
        assert!(new.backends()[0].is_down());
        assert!(!new.backends()[0].has_room());
        assert_eq!(new.backends()[1].in_flight(), 0);
        drop(stop);
        assert!(new.backends()[0].has_room());
        let other = upstream(&[new], &[2], limited(5));
        assert!(
            other.backends()[0].is_down(),
            "the rules for health are the same"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_limit_counts_the_requests_that_are_under_way() {
        let settled = || tokio::time::sleep(std::time::Duration::from_secs(1));
        let old = upstream(&[], &[1], Balancing::default());
        let mut under_way: Vec<_> = (0..3).map(|_| pick(&old).unwrap()).collect();
        let lower = upstream(&[Arc::clone(&old)], &[1], limited(2));
        assert!(pick(&lower).unwrap().is_none(), "three are more than two");
        under_way.pop();
        settled().await;
        assert!(pick(&lower).unwrap().is_none(), "two are as many as may be");
        under_way.pop();
        settled().await;
        let one = pick(&lower).unwrap();
        assert!(one.is_some() && pick(&lower).unwrap().is_none());

        let higher = upstream(&[lower], &[1], limited(4));
        let two = [pick(&higher).unwrap(), pick(&higher).unwrap()];
        assert!(two.iter().all(Option::is_some));
        assert!(pick(&higher).unwrap().is_none(), "two of them are old");
        drop((under_way, one, two));
        settled().await;
        let all: Vec<_> = (0..5).map(|_| pick(&higher).unwrap().is_some()).collect();
        assert!(all.iter().all(|is_in| *is_in), "each was over at once");
        let held: Vec<_> = (0..5).filter_map(|_| pick(&higher).unwrap()).collect();
        assert_eq!(held.len(), 4);
    }

    #[test]
    fn without_a_check_nothing_is_down_for_ever() {
        let check = HealthOptions::new("/".to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        let checked = Balancing {
            health: Some(check),
            ..Balancing::default()
        };
        let old = upstream(&[], &[1], checked);
        old.backends()[0].condition().go_down();
        let new = upstream(&[old], &[1], Balancing::default());
        assert!(!new.backends()[0].is_down());
    }
}
