//! An upstream: a group of backends, and the path of a request through it.

use std::sync::Arc;

use http::header::{TRAILER, UPGRADE};
use http::{Request, Response};
use http_body::Body as _;
use tokio::time::Instant;

use super::attempt::{Attempt, Attempts, FailedAttempt};
use super::backend_fields::BackendFields;
use super::backend_set::BackendSet;
use super::carry_over::PreviousBackend;
use super::discovery::Discovery;
use super::queue::Queue;
use super::retry::{Retry, RetryLimits, repeatable_copy};
use super::retry_budget::RetryBudget;
use super::selected_backend::{Caller, Selected, Selection};
use super::settings::UpstreamSettings;
use crate::memory::ConnectionMemory;
use crate::name::HostName;
use crate::per_worker::{CachePadded, PerWorker};
use crate::upstream::address::Address;
use crate::upstream::backend::{Backend, InFlight};
use crate::upstream::body::{Interims, RequestBody, read_whole};
use crate::upstream::error::Error;
use crate::upstream::exchange::{ExchangeTerms, ResponseBody, exchange, refuse_tls_port};
use crate::upstream::options::{BalanceMethod, Options, UpstreamContext};
use crate::upstream::transport::TlsError;

/// Group of backends that serve the same requests.
#[derive(Debug)]
pub struct Upstream {
    pub(super) discovery: Discovery,
    queue: Queue,
    budgets: PerWorker<CachePadded<RetryBudget>>,
    pub(super) settings: Arc<UpstreamSettings>,
}

impl Upstream {
    /// An upstream with backends at these addresses. Blocks while it reads the files for TLS, if one of the addresses
    /// needs them. Needs a runtime if backends are checked or addresses are names.
    pub fn new(
        addresses: Vec<Address>,
        options: Options,
        context: &UpstreamContext,
    ) -> Result<Self, TlsError> {
        Self::carrying_over(&[], addresses, options, context)
    }

    /// Like [`Self::new`], with state from `old` upstreams. A backend whose address is in one of them keeps its health,
    /// and if all settings but balancing are equal, also its connections and requests in flight. A backend that is gone
    /// finishes its requests and gets no more.
    pub fn carrying_over(
        old: &[Arc<Self>],
        addresses: Vec<Address>,
        options: Options,
        context: &UpstreamContext,
    ) -> Result<Self, TlsError> {
        let settings = Arc::new(UpstreamSettings::new(&addresses, options, context)?);
        let previous = |old: &Arc<Self>| PreviousBackend::all(&old.settings, old.backends());
        let previous: Vec<_> = old.iter().flat_map(previous).collect();
        let old: Vec<_> = old.iter().map(|old| &old.discovery).collect();
        let balancing = &settings.options.balancing;
        let budget = |_| CachePadded::new(RetryBudget::new(balancing.retry_percent));
        Ok(Self {
            queue: Queue::new(balancing.queue.into(), balancing.queue_timeout),
            budgets: PerWorker::new(context.workers, budget),
            discovery: Discovery::new(addresses, &old, &previous, &settings),
            settings,
        })
    }

    /// `true` if an upstream with the same addresses and options would be the same now: the files for TLS are
    /// unchanged, and names have the same resolver. Blocks while it reads files.
    pub fn is_current(&self, context: &UpstreamContext) -> Result<bool, TlsError> {
        let settings = &self.settings;
        let has_resolver =
            !self.discovery.uses_dns() || settings.context.resolver.is(&context.resolver);
        Ok(has_resolver && settings.dialer.is_current(&settings.options, context)?)
    }

    /// All backends, in the order of their addresses. Too slow for the request path.
    #[must_use]
    pub fn backends(&self) -> Vec<Backend> {
        self.discovery.backends()
    }

    /// `true` if there are backends and all of them are down or were ejected. Too slow for the request path.
    #[must_use]
    pub fn is_out(&self) -> bool {
        let backends = self.backends();
        !backends.is_empty() && backends.iter().all(Backend::is_out)
    }

    /// `true` if the backends get PROXY headers. Each request must then have [`ClientAddresses`] in its extensions.
    ///
    /// [`ClientAddresses`]: crate::upstream::ClientAddresses
    #[must_use]
    pub fn sends_proxy_header(&self) -> bool {
        self.settings.options.send_proxy.is_some()
    }

    /// `true` if the choice of a backend depends on the client's address.
    #[must_use]
    pub fn uses_client_address(&self) -> bool {
        self.settings.options.balancing.method == BalanceMethod::IpHash
    }

    /// `true` if a cookie keeps clients at their backends.
    #[must_use]
    pub fn uses_cookies(&self) -> bool {
        self.settings.options.balancing.method == BalanceMethod::Cookie
    }

    /// Number of requests in the queue.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// `true` if a request with this body must go through [`Self::buffer`] first.
    #[must_use]
    pub fn wants_buffer(&self, body: &RequestBody) -> bool {
        self.settings.options.buffer_requests.is_some()
            && !body.is_empty()
            && body.size_hint().exact().is_none()
    }

    /// Reads the body of a request into `memory`, so that it has a length. Asks the client for it, if it waits for that.
    pub async fn buffer(
        &self,
        request: &mut Request<RequestBody>,
        interims: Option<&Interims>,
        memory: Option<&Arc<ConnectionMemory>>,
    ) -> Result<(), Error> {
        let limit = self.settings.options.buffer_requests.unwrap_or_default();
        let body = request.body_mut();
        if let Some(interims) = interims {
            body.set_interims(interims);
        }
        let buffered = read_whole(body, limit, memory).await?;
        body.replace(buffered);
        request.headers_mut().remove(TRAILER);
        Ok(())
    }

    /// Sends `request` with its head unchanged, and returns the response when its head has arrived.
    ///
    /// If the connection to a backend fails, the request goes to the next backend. If a reused connection dies, the
    /// request is sent again on a new connection. If a new one dies, it goes to another backend, within the retry
    /// budget. A request is sent again only if this is safe: if the backend has not processed it, or if it has no body
    /// and an idempotent method (RFC 9110 section 9.2.2) and no byte of a response has arrived.
    ///
    /// Dropping the future, or the response body before its end, closes the connection or resets the stream.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
        caller: Caller<'_>,
    ) -> Result<Response<ResponseBody>, Error> {
        // The rare steps are boxed, so that they do not enlarge the future of a request that needs none of them.
        let backends = match self.discovery.current(caller.worker) {
            Some(backends) => backends,
            None => Box::pin(self.discovery.resolve(caller.worker)).await?,
        };
        let mut attempts = self.attempts(&backends, &request, caller);
        let has_others = backends.has_others();
        if has_others {
            self.budgets[caller.worker].count();
        }
        let mut attempt = match attempts.bound() {
            Some(attempt) => attempt,
            None => {
                let selected = match backends.select(&attempts.selection)? {
                    Some(selected) => selected,
                    None => Box::pin(self.wait(&attempts)).await?,
                };
                match attempts.reuse(selected) {
                    Ok(attempt) => attempt,
                    Err(selected) => Box::pin(self.open(selected, &mut attempts, false)).await?,
                }
            }
        };
        loop {
            let Attempt { backend, lease } = attempt;
            let options = &self.settings.options;
            let has_body = !request.body().is_empty();
            let limit = options.response_limit(request.headers(), has_body);
            let fields = BackendFields {
                host: &options.http.host,
                dav_destination: caller.dav_destination,
            };
            fields.set(&mut request, lease.address());
            attempts.begin_exchange(&mut request, &lease);
            let is_reused = lease.is_reused();
            // Over HTTP/2, the backend may ask for the request over HTTP/1.1.
            let may_repeat = is_reused || has_others || lease.is_http2();
            let copy = may_repeat.then(|| repeatable_copy(&request)).flatten();
            let terms = ExchangeTerms {
                limit,
                bound: caller.bound,
                has_connection_login: caller.has_connection_login,
                figures: caller.figures,
            };
            let failure = match exchange(lease, request, terms).await {
                Ok(response) => {
                    let response = self.receive(response, backend, &mut attempts);
                    return refuse_tls_port(response, !is_reused).await;
                }
                Err(failure) => failure,
            };
            let failed = FailedAttempt {
                backend,
                is_reused,
                failure,
                copy,
            };
            (request, attempt) = Box::pin(self.prepare_retry(failed, &mut attempts)).await?;
        }
    }

    fn attempts<'a>(
        &'a self,
        backends: &'a BackendSet,
        request: &Request<RequestBody>,
        caller: Caller<'a>,
    ) -> Attempts<'a> {
        let headers = request.headers();
        let send_proxy = self.settings.options.send_proxy;
        Attempts {
            backends,
            selection: Selection {
                caller,
                preferred: backends.preferred(headers, caller.is_secure),
                tried: Vec::new(),
            },
            dialer: &self.settings.dialer,
            is_upgrade: self.settings.dialer.has_http2() && headers.contains_key(UPGRADE),
            retries: 0,
            proxy_header: send_proxy.map(|version| version.header(request.extensions())),
            server_name: self.server_name(caller.host),
        }
    }

    /// Host that TLS handshakes name for a request for `host`, if they follow it.
    fn server_name(&self, host: &str) -> Option<HostName> {
        let is_used = self.settings.dialer.uses_client_host();
        is_used.then(|| HostName::parse(host).ok()).flatten()
    }

    /// Records the outcome at the backend, and sets the cookie that keeps the client there.
    fn receive(
        &self,
        mut response: Response<ResponseBody>,
        backend: usize,
        attempts: &mut Attempts<'_>,
    ) -> Response<ResponseBody> {
        attempts.answered(response.status());
        let backends = attempts.backends;
        if backends.has_others() {
            let eject_status = self.settings.options.balancing.eject_status;
            if eject_status.is_some_and(|range| range.has(response.status())) {
                backends.record_failure(backend);
            } else {
                backends.record_success(backend);
            }
        }
        backends.set_cookie(backend, &attempts.selection, response.headers_mut());
        response
    }

    /// Selects a backend. Waits in the queue if all are full.
    async fn select(&self, attempts: &Attempts<'_>) -> Result<Selected, Error> {
        match attempts.backends.select(&attempts.selection)? {
            Some(selected) => Ok(selected),
            None => self.wait(attempts).await,
        }
    }

    async fn wait(&self, attempts: &Attempts<'_>) -> Result<Selected, Error> {
        let caller = &attempts.selection.caller;
        let backends = attempts.backends.as_slice();
        let mut full = Vec::new();
        for backend in attempts.backends.eligible(&attempts.selection) {
            if let Some(selected) = attempts.backends.enter(backend, caller) {
                return Ok(selected);
            }
            let limit = backends[backend].max_connections();
            full.extend(limit.map(|limit| (backend, limit.clone())));
        }
        if full.is_empty() {
            return Err(Error::NoHealthyBackend);
        }
        let (backend, slot) = self.queue.wait(full, caller.share).await?;
        let in_flight = InFlight::enter(backends[backend].lane(caller.worker), Some(slot));
        Ok(Selected { backend, in_flight })
    }

    /// Opens a connection to the selected backend; it must be a new one if `is_fresh`. If this fails, tries other
    /// backends, at which a pooled connection will do.
    async fn open(
        &self,
        mut selected: Selected,
        attempts: &mut Attempts<'_>,
        mut is_fresh: bool,
    ) -> Result<Attempt, Error> {
        // Backends that failed, perhaps because the client has chosen a name for which they have no certificate. If the
        // name works at another backend, they are at fault.
        let mut suspects = Vec::new();
        loop {
            let (backend, error) = match self.connect(selected, attempts, is_fresh).await {
                Ok(attempt) => return Ok(attempt.blaming(&suspects, attempts)),
                Err((backend, error)) if error.is_connect() => (backend, error),
                Err((_, error)) => return Err(error),
            };
            if attempts.server_name.is_some() && error.may_be_due_to_name() {
                suspects.push(backend);
            } else if error.is_fault() {
                attempts.backends.record_failure(backend);
            }
            attempts.note_failed_connection(backend, &error);
            if !attempts.may_try_another() {
                return Err(error);
            }
            let Ok(next) = self.select(attempts).await else {
                return Err(error);
            };
            attempts.note_next_backend(backend, &error);
            match attempts.reuse(next) {
                Ok(attempt) => return Ok(attempt.blaming(&suspects, attempts)),
                Err(next) => selected = next,
            }
            is_fresh = false;
        }
    }

    /// Opens a connection to the selected backend, or takes a stream on a shared one. If the client has its share of
    /// connections, waits within the connect time-out for one to any backend. Fails with the backend.
    async fn connect(
        &self,
        mut selected: Selected,
        attempts: &Attempts<'_>,
        is_fresh: bool,
    ) -> Result<Attempt, (usize, Error)> {
        let deadline = Instant::now() + self.settings.options.connect_timeout;
        loop {
            let backend = selected.backend;
            let failed = |error| (backend, error);
            let may_share = attempts.may_share(&selected);
            if may_share || attempts.hold_connection(&mut selected) {
                let needs = attempts.needs(is_fresh);
                let connecting = self.settings.dialer.connect(selected.in_flight, needs);
                if let Some(lease) = connecting.await.map_err(failed)? {
                    return Ok(Attempt { backend, lease });
                }
            } else {
                drop(selected);
            }
            let held = attempts.await_share(may_share, deadline).await;
            let held = held.map_err(failed)?;
            selected = self.select(attempts).await.map_err(failed)?;
            selected.in_flight.hold(held);
            if !is_fresh {
                match attempts.reuse(selected) {
                    Ok(attempt) => return Ok(attempt),
                    Err(unpooled) => selected = unpooled,
                }
            }
        }
    }

    /// Prepares another attempt after a failure. Returns the request and the new attempt, or the error of the failure
    /// if the request must not be sent again.
    async fn prepare_retry(
        &self,
        failed: FailedAttempt,
        attempts: &mut Attempts<'_>,
    ) -> Result<(Request<RequestBody>, Attempt), Error> {
        let limits = RetryLimits {
            max_retries: self.settings.options.balancing.retries,
            budget: &self.budgets[attempts.selection.caller.worker],
        };
        let (request, error) = match Retry::after(failed, attempts, limits)? {
            Retry::NewConnection(request, selected) => {
                return Ok((request, self.open(selected, attempts, true).await?));
            }
            Retry::OtherBackend(request, error) => (request, error),
        };
        let Ok(selected) = self.select(attempts).await else {
            return Err(error);
        };
        let attempt = match attempts.reuse(selected) {
            Ok(attempt) => attempt,
            Err(selected) => self.open(selected, attempts, false).await?,
        };
        Ok((request, attempt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Tasks;
    use crate::upstream::group::discovery::CurrentBackends;
    use crate::upstream::options::{BalanceOptions, HealthOptions};

    fn addresses(ports: &[u16]) -> Vec<Address> {
        let parse = |port: &u16| Address::parse(&format!("127.0.0.1:{port}")).unwrap();
        ports.iter().map(parse).collect()
    }

    fn upstream(old: &[Arc<Upstream>], ports: &[u16], balancing: BalanceOptions) -> Arc<Upstream> {
        let options = Options {
            balancing: Box::new(balancing),
            ..Options::default()
        };
        let context = UpstreamContext::new(Tasks::new());
        Arc::new(Upstream::carrying_over(old, addresses(ports), options, &context).unwrap())
    }

    fn current(upstream: &Upstream) -> CurrentBackends<'_> {
        upstream.discovery.current(0).unwrap()
    }

    fn pick(upstream: &Upstream) -> Result<Option<Selected>, Error> {
        let caller = Caller {
            worker: 0,
            client: [192, 0, 2, 1].into(),
            share: None,
            host: "www.example.org",
            bound: None,
            has_connection_login: false,
            dav_destination: None,
            is_secure: true,
            figures: None,
            trace: None,
        };
        let request = Request::new(RequestBody::empty());
        let backends = current(upstream);
        backends.select(&upstream.attempts(&backends, &request, caller).selection)
    }

    fn limited(count: u16) -> BalanceOptions {
        BalanceOptions {
            max_connections: Some(count),
            ..BalanceOptions::default()
        }
    }

    #[test]
    fn when_all_backends_are_ejected_one_is_tried_anyway() {
        let upstream = upstream(&[], &[1, 2], BalanceOptions::default());
        for backend in [0, 0, 0, 1, 1, 1] {
            current(&upstream).record_failure(backend);
        }
        assert!(upstream.backends().iter().all(Backend::is_ejected));
        assert!(pick(&upstream).unwrap().is_some());
    }

    #[test]
    fn when_all_backends_are_down_none_is_tried() {
        for ports in [&[1][..], &[1, 2]] {
            let upstream = upstream(&[], ports, BalanceOptions::default());
            for backend in upstream.backends() {
                backend.health_state().mark_down();
            }
            let picked = pick(&upstream);
            assert!(matches!(picked, Err(Error::NoHealthyBackend)));
        }
    }

    #[test]
    fn full_backends_are_skipped_and_ejected_ones_do_not_replace_them() {
        let upstream = upstream(&[], &[1, 2], limited(1));
        let one = pick(&upstream).unwrap().unwrap();
        let other = pick(&upstream).unwrap().unwrap();
        assert_ne!(one.backend, other.backend);
        assert!(pick(&upstream).unwrap().is_none());
        drop(one.in_flight);
        for _ in 0..3 {
            current(&upstream).record_failure(one.backend);
        }
        assert!(pick(&upstream).unwrap().is_none());
        assert!(!current(&upstream).as_slice()[other.backend].has_room());
    }

    #[test]
    fn a_backend_with_an_unchanged_address_keeps_its_state() {
        let old = upstream(&[], &[1, 2], limited(1));
        let selected = old.backends()[1].enter(0, None).unwrap();
        old.backends()[1].health_state().mark_down();
        let new = upstream(&[Arc::clone(&old)], &[2, 3], limited(1));
        assert_eq!(new.backends()[0].in_flight(), 1);
        assert!(new.backends()[0].is_down());
        assert!(!new.backends()[0].has_room());
        assert_eq!(new.backends()[1].in_flight(), 0);
        drop(selected);
        assert!(new.backends()[0].has_room());
        let other = upstream(&[new], &[2], limited(5));
        assert!(
            other.backends()[0].is_down(),
            "the health settings are the same"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_limit_counts_requests_that_are_already_in_flight() {
        let settle = || tokio::time::sleep(std::time::Duration::from_secs(1));
        let old = upstream(&[], &[1], BalanceOptions::default());
        let mut earlier: Vec<_> = (0..3).map(|_| pick(&old).unwrap()).collect();
        let lower = upstream(&[Arc::clone(&old)], &[1], limited(2));
        assert!(pick(&lower).unwrap().is_none(), "three exceed the limit");
        earlier.pop();
        settle().await;
        assert!(pick(&lower).unwrap().is_none(), "two reach the limit");
        earlier.pop();
        settle().await;
        let one = pick(&lower).unwrap();
        assert!(one.is_some() && pick(&lower).unwrap().is_none());

        let higher = upstream(&[lower], &[1], limited(4));
        let two = [pick(&higher).unwrap(), pick(&higher).unwrap()];
        assert!(two.iter().all(Option::is_some));
        assert!(pick(&higher).unwrap().is_none(), "two are from before");
        drop((earlier, one, two));
        settle().await;
        let all: Vec<_> = (0..5).map(|_| pick(&higher).unwrap().is_some()).collect();
        assert!(all.iter().all(|is_some| *is_some), "each ended at once");
        let held: Vec<_> = (0..5).filter_map(|_| pick(&higher).unwrap()).collect();
        assert_eq!(held.len(), 4);
    }

    #[test]
    fn a_backend_that_is_no_longer_checked_is_not_down() {
        let check = HealthOptions::new("/".to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        let checked = BalanceOptions {
            health: Some(check),
            ..BalanceOptions::default()
        };
        let old = upstream(&[], &[1], checked);
        old.backends()[0].health_state().mark_down();
        let new = upstream(&[old], &[1], BalanceOptions::default());
        assert!(!new.backends()[0].is_down());
    }
}
