//! A named group of backends, and the way of a request through it.

use std::sync::Arc;

use http::{Request, Response};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::warn;

use super::address::Address;
use super::backend::{Backend, InFlight};
use super::balance::{Balancer, Choice, Sticky};
use super::body::{RequestBody, ResponseBody};
use super::connection::Lease;
use super::error::Error;
use super::exchange::{Failure, exchange};
use super::ledger::Ledger;
use super::means::Means;
use super::options::Options;
use super::queue::Queue;
use super::retry::replica;
use super::succession::succeed;
use super::trip::{Caller, Stop, Trip, open_connection};

/// How many backends one request may try to connect to.
const CONNECT_ATTEMPTS: usize = 3;

/// Backends that serve the same requests.
#[derive(Debug)]
pub struct Upstream {
    backends: Vec<Backend>,
    /// Whether all have the same weight.
    is_even: bool,
    sticky: Option<Box<Sticky>>,
    queue: Queue,
    ledgers: Box<[Ledger]>,
    options: Options,
    places: Arc<Semaphore>,
}

impl Upstream {
    /// An upstream of these addresses. Where its backends are checked, a runtime must be entered, which runs the checks.
    #[must_use]
    pub fn new(addresses: Vec<Address>, options: Options, means: &Means) -> Self {
        Self::succeeding(&[], addresses, options, means)
    }

    /// The same, where a backend whose address is among those of `old` upstreams keeps its state: its health, and with the
    /// same deadlines its connections and what is in flight. A backend that is gone serves what it has to the end and gets
    /// nothing more.
    #[must_use]
    pub fn succeeding(
        old: &[Arc<Self>],
        addresses: Vec<Address>,
        options: Options,
        means: &Means,
    ) -> Self {
        let balancing = &options.balancing;
        let named = addresses.into_iter().enumerate();
        let backends: Vec<_> = named
            .map(|(index, address)| {
                succeed(old, address, &options, means)
                    .sharing(balancing.share(index), balancing.max_connections)
            })
            .collect();
        let sticky = (balancing.balancer == Balancer::Cookie).then(|| {
            let addresses = backends.iter().map(|backend| backend.address().to_string());
            let keys = (balancing.cookie_key.as_ref(), &means.cookie_key[..]);
            Box::new(Sticky::new(&balancing.cookie_name, keys, addresses))
        });
        let ledger = |_| Ledger::new(backends.len(), balancing.retry_percent);
        Self {
            is_even: backends
                .iter()
                .all(|backend| backend.weight() == backends[0].weight()),
            sticky,
            queue: Queue::new(balancing.queue.into(), balancing.queue_timeout),
            ledgers: (0..means.workers.max(1)).map(ledger).collect(),
            backends,
            places: Arc::clone(&means.places),
            options,
        }
    }

    /// The backends in the order of their addresses.
    #[must_use]
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// Whether its backends want to know their clients: each request then carries [`ClientAddresses`].
    ///
    /// [`ClientAddresses`]: super::ClientAddresses
    #[must_use]
    pub fn announces_clients(&self) -> bool {
        self.options.send_proxy.is_some()
    }

    /// Whether it matters to the choice of a backend which address a client has.
    #[must_use]
    pub fn tells_clients_apart(&self) -> bool {
        self.options.balancing.balancer == Balancer::IpHash
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// How many requests wait for a backend that is not full.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Sends `request`, whose head goes out as it is, and returns the response when its head has arrived.
    ///
    /// A backend that takes no connection is passed over for the next one. A request on a reused connection that dies is
    /// sent once more, on a new one, when that is safe: not a byte of it was sent, or not a byte of an answer has come
    /// and the request has no body and an idempotent method (RFC 9110 section 9.2.2). One that a backend takes and drops is
    /// sent to another when that is as safe and within the budget of retries.
    ///
    /// Dropping the future, or the response's body before its end, cuts the connection.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
        caller: Caller,
    ) -> Result<Response<ResponseBody>, Error> {
        let mut trip = Trip {
            caller,
            wanted: self.wanted(&request),
            tried: Vec::new(),
            retries: 0,
            greeting: self
                .options
                .send_proxy
                .map(|version| version.header(request.extensions())),
        };
        let has_others = self.has_others();
        if has_others {
            self.ledger(caller).budget.count();
        }
        // Boxed, so that the many requests that need neither wait nor connect carry no room for it.
        let stop = match self.pick(&trip)? {
            Some(stop) => stop,
            None => Box::pin(self.wait(&trip)).await?,
        };
        let (mut backend, mut lease) = match stop.reuse(&trip) {
            Ok(found) => found,
            Err(stop) => Box::pin(self.open(stop, &mut trip)).await?,
        };
        loop {
            let is_reused = lease.is_reused();
            let may_go_on = is_reused || has_others;
            let spare = may_go_on.then(|| replica(&request)).flatten();
            let failure = match exchange(lease, request, self.options.response_timeout).await {
                Ok(response) => return Ok(self.receive(response, backend, &trip)),
                Err(failure) => failure,
            };
            let again = self.again((failure, is_reused), spare, backend, &mut trip);
            (request, backend, lease) = Box::pin(again).await?;
        }
    }

    /// A backend without others is used whatever it does, unless its check fails.
    fn has_others(&self) -> bool {
        self.backends.len() > 1
    }

    fn ledger(&self, caller: Caller) -> &Ledger {
        &self.ledgers[caller.worker % self.ledgers.len()]
    }

    fn wanted(&self, request: &Request<RequestBody>) -> Option<usize> {
        let sticky = self.sticky.as_ref()?;
        sticky.wanted(request.headers())
    }

    /// Takes note of how the backend has answered, and keeps the client to it where that is wished.
    fn receive(
        &self,
        mut response: Response<ResponseBody>,
        backend: usize,
        trip: &Trip,
    ) -> Response<ResponseBody> {
        if self.has_others() {
            let eject_status = self.options.balancing.eject_status;
            if eject_status.is_some_and(|range| range.has(response.status())) {
                self.fail(backend);
            } else {
                self.backends[backend].succeed();
            }
        }
        if let Some(sticky) = &self.sticky
            && trip.wanted != Some(backend)
        {
            sticky.keep(backend, response.headers_mut());
        }
        response
    }

    fn choice<'a>(&'a self, trip: &'a Trip, is_desperate: bool) -> Choice<'a> {
        Choice {
            backends: &self.backends,
            worker: trip.caller.worker,
            client: trip.caller.client,
            turns: &self.ledger(trip.caller).turns,
            tried: &trip.tried,
            is_even: self.is_even,
            is_desperate,
            needs_room: !self.options.balancing.balancer.is_sticky(),
        }
    }

    /// The backend for a request, or `None` where it has to wait for one.
    ///
    /// Where all are out because of failures, the failures may be over: any is better than none. Where the active checks
    /// say that all are down, none is tried.
    fn pick(&self, trip: &Trip) -> Result<Option<Stop>, Error> {
        match self.backends.len() {
            0 => return Err(Error::NoBackend),
            1 if trip.tried.is_empty() => return self.pick_only(trip.caller.worker),
            _ => {}
        }
        for is_desperate in [false, true] {
            let mut choice = self.choice(trip, is_desperate);
            while let Some(backend) = self.choose(&choice, trip.wanted) {
                let condition = self.backends[backend].condition();
                if condition.is_plain() || condition.enter(Instant::now(), is_desperate) {
                    return Ok(self.enter(backend, trip.caller.worker));
                }
            }
            choice.needs_room = false;
            if choice.shares().next().is_some() {
                return Ok(None);
            }
        }
        Err(Error::NoHealthyBackend)
    }

    fn pick_only(&self, worker: usize) -> Result<Option<Stop>, Error> {
        match self.backends[0].is_down() {
            true => Err(Error::NoHealthyBackend),
            false => Ok(self.enter(0, worker)),
        }
    }

    fn enter(&self, backend: usize, worker: usize) -> Option<Stop> {
        let in_flight = self.backends[backend].enter(worker)?;
        Some(Stop { backend, in_flight })
    }

    fn choose(&self, choice: &Choice<'_>, wanted: Option<usize>) -> Option<usize> {
        match wanted.filter(|backend| choice.share(*backend, Instant::now()) > 0) {
            Some(backend) => Some(backend),
            None => self.options.balancing.balancer.pick(choice),
        }
    }

    /// The backend for a request, if need be after a wait for one that is not full.
    async fn next(&self, trip: &Trip) -> Result<Stop, Error> {
        match self.pick(trip)? {
            Some(stop) => Ok(stop),
            None => self.wait(trip).await,
        }
    }

    async fn wait(&self, trip: &Trip) -> Result<Stop, Error> {
        let worker = trip.caller.worker;
        let mut full = Vec::new();
        for backend in self.candidates(trip) {
            if let Some(stop) = self.enter(backend, worker) {
                return Ok(stop);
            }
            let places = self.backends[backend].places();
            full.extend(places.map(|places| (backend, Arc::clone(places))));
        }
        if full.is_empty() {
            return Err(Error::NoHealthyBackend);
        }
        let (backend, place) = self.queue.wait(full).await?;
        let in_flight = InFlight::enter(self.backends[backend].lane(worker), Some(place.into()));
        Ok(Stop { backend, in_flight })
    }

    /// The backends that the request may have, full or not: one, where it belongs to one.
    fn candidates(&self, trip: &Trip) -> Vec<usize> {
        let mut candidates = Vec::new();
        for is_desperate in [false, true] {
            let mut choice = self.choice(trip, is_desperate);
            choice.needs_room = false;
            match self.options.balancing.balancer.is_sticky() {
                true => candidates.extend(self.choose(&choice, trip.wanted)),
                false => candidates.extend(choice.shares().map(|(backend, _)| backend)),
            }
            if !candidates.is_empty() {
                break;
            }
        }
        candidates
    }

    /// A new connection to this backend, or one to the next that takes one or has one waiting.
    async fn open(&self, mut stop: Stop, trip: &mut Trip) -> Result<(usize, Lease), Error> {
        loop {
            let backend = stop.backend;
            let greeting = trip.greeting.as_deref();
            let opening = open_connection(stop.in_flight, &self.options, &self.places, greeting);
            let error = match opening.await {
                Ok(lease) => return Ok((backend, lease)),
                Err(error) if error.is_connect() => error,
                Err(error) => return Err(error),
            };
            self.fail(backend);
            trip.tried.push(backend);
            if trip.tried.len() >= self.backends.len().min(CONNECT_ATTEMPTS) {
                return Err(error);
            }
            let Ok(next) = self.next(trip).await else {
                return Err(error);
            };
            warn!(
                error = &error as &dyn std::error::Error,
                "backend passed over"
            );
            match next.reuse(trip) {
                Ok(found) => return Ok(found),
                Err(next) => stop = next,
            }
        }
    }

    /// What to send once more after a failure on the connection to `backend`, and where to, if that may be done.
    async fn again(
        &self,
        (failure, is_reused): (Failure, bool),
        spare: Option<Request<RequestBody>>,
        backend: usize,
        trip: &mut Trip,
    ) -> Result<(Request<RequestBody>, usize, Lease), Error> {
        let Failure {
            error,
            unsent,
            is_silent,
            in_flight,
        } = failure;
        if error.is_client() {
            return Err(error);
        }
        let is_unsent = unsent.is_some();
        // A connection that has waited may have died of old age, which says nothing about the backend.
        let is_stale = is_reused && (is_silent || is_unsent);
        if !is_stale {
            self.fail(backend);
        }
        let Some(request) = unsent.or_else(|| spare.filter(|_| is_silent)) else {
            return Err(error);
        };
        if is_stale {
            // On a new one: another that waited might be as dead.
            let opening = self.open(Stop { backend, in_flight }, trip);
            return opening
                .await
                .map(|(backend, lease)| (request, backend, lease));
        }
        drop(in_flight);
        trip.tried.push(backend);
        let has_next = trip.tried.len() < self.backends.len().min(CONNECT_ATTEMPTS);
        if !has_next || !self.may_retry(trip, is_unsent) {
            return Err(error);
        }
        trip.retries += 1;
        warn!(
            error = &error as &dyn std::error::Error,
            "request goes to another backend"
        );
        let Ok(stop) = self.next(trip).await else {
            return Err(error);
        };
        let (backend, lease) = match stop.reuse(trip) {
            Ok(found) => found,
            Err(stop) => self.open(stop, trip).await?,
        };
        Ok((request, backend, lease))
    }

    /// Whether a request may be sent to another backend. What was never sent costs nothing.
    fn may_retry(&self, trip: &Trip, is_unsent: bool) -> bool {
        let budget = &self.ledger(trip.caller).budget;
        is_unsent || (trip.retries < self.options.balancing.retries && budget.take(Instant::now()))
    }

    fn fail(&self, backend: usize) {
        if self.has_others() {
            self.backends[backend].fail();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Tasks;
    use crate::upstream::balance::{Balancing, HealthOptions};

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
        Arc::new(Upstream::succeeding(old, addresses(ports), options, &means))
    }

    fn trip() -> Trip {
        Trip {
            caller: Caller {
                worker: 0,
                client: [192, 0, 2, 1].into(),
            },
            wanted: None,
            tried: Vec::new(),
            retries: 0,
            greeting: None,
        }
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
            upstream.fail(backend);
        }
        assert!(upstream.backends().iter().all(Backend::is_ejected));
        assert!(upstream.pick(&trip()).unwrap().is_some());
    }

    #[test]
    fn when_the_checks_say_that_all_are_down_none_is_tried() {
        for ports in [&[1][..], &[1, 2]] {
            let upstream = upstream(&[], ports, Balancing::default());
            for backend in upstream.backends() {
                backend.condition().go_down();
            }
            let picked = upstream.pick(&trip());
            assert!(matches!(picked, Err(Error::NoHealthyBackend)));
        }
    }

    #[test]
    fn a_full_backend_is_passed_over_and_one_that_is_out_is_no_way_around_it() {
        let upstream = upstream(&[], &[1, 2], limited(1));
        let one = upstream.pick(&trip()).unwrap().unwrap();
        let other = upstream.pick(&trip()).unwrap().unwrap();
        assert_ne!(one.backend, other.backend);
        assert!(upstream.pick(&trip()).unwrap().is_none());
        drop(one.in_flight);
        for _ in 0..3 {
            upstream.fail(one.backend);
        }
        assert!(upstream.pick(&trip()).unwrap().is_none());
        assert_eq!(upstream.candidates(&trip()), [other.backend]);
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
