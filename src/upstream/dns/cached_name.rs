//! A cached DNS name. Its addresses are used until their TTL is over and then resolved again. If DNS fails, the last
//! addresses stay in use for a while.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::host_lookup::{DnsAnswer, HostLookup, MAX_ADDRESSES, MIN_LIFETIME};
use super::name_failures::{NameFailure, NameFailures};
use super::resolved_ip::ResolvedIp;
use super::srv::resolve_srv;
use crate::name::HostName;
use crate::upstream::srv_name::SrvName;

/// Time from a failed query to the next one. Until then, the last answer stays in use.
pub(in crate::upstream) const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Time for which the last addresses of a name stay in use after DNS has said that there are none. While a zone is
/// being rewritten, the name may be missing for a moment.
const GRACE: Duration = Duration::from_secs(60);

/// Question to DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Host(HostName),
    Service(SrvName),
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => name.fmt(f),
            Self::Service(service) => service.fmt(f),
        }
    }
}

/// One host or service. All upstreams share its addresses, and at most one query runs at a time.
pub(in crate::upstream) struct CachedName {
    question: Question,
    client: HostLookup,
    failures: Arc<NameFailures>,
    known: ArcSwapOption<KnownAddresses>,
    /// Outcome of the last query. Locked during a query.
    query: Mutex<LastQuery>,
}

/// Outcome of the last query.
#[derive(Default)]
struct LastQuery {
    failure: Option<Failure>,
    /// `true` if it failed, and the last addresses stay in use.
    is_failing: bool,
    /// `true` if the answer had more addresses than are used.
    is_too_long: bool,
}

/// A failed query. The failure is also cached for a moment, so that not every request leads to a query.
struct Failure {
    error: Arc<io::Error>,
    until: Instant,
}

impl Failure {
    fn new(error: io::Error) -> Self {
        Self {
            error: Arc::new(error),
            until: Instant::now() + MIN_LIFETIME,
        }
    }

    fn error(&self) -> io::Error {
        io::Error::new(self.error.kind(), Arc::clone(&self.error))
    }
}

/// Addresses to which a name has resolved.
#[derive(Debug)]
pub(in crate::upstream) struct KnownAddresses {
    /// In ascending order.
    pub(in crate::upstream) addresses: Vec<ResolvedIp>,
    /// Time at which they have to be resolved again.
    pub(in crate::upstream) until: Instant,
    /// Time since when DNS has said that there are none.
    gone: Option<Instant>,
}

impl KnownAddresses {
    /// Returns the addresses to use after a failed query; `None` if DNS has said for [`GRACE`] that there are none.
    fn after_failure(&self, error: &io::Error, now: Instant) -> Option<Self> {
        let gone = match error.kind() {
            io::ErrorKind::NotFound => self.gone.or(Some(now)),
            _ => self.gone,
        };
        let end = gone.map_or(now + RETRY_AFTER, |gone| gone + GRACE);
        let is_over = error.kind() == io::ErrorKind::NotFound && end <= now;
        (!is_over).then(|| Self {
            addresses: self.addresses.clone(),
            until: end.clamp(now + MIN_LIFETIME, now + RETRY_AFTER),
            gone,
        })
    }
}

impl CachedName {
    pub(super) fn new(question: Question, client: HostLookup, failures: Arc<NameFailures>) -> Self {
        Self {
            question,
            client,
            failures,
            known: ArcSwapOption::empty(),
            query: Mutex::new(LastQuery::default()),
        }
    }

    pub(in crate::upstream) fn name(&self) -> impl fmt::Display {
        &self.question
    }

    /// Returns the cached addresses, even if they have expired; `None` if there are none.
    pub(in crate::upstream) fn known(&self) -> Option<Arc<KnownAddresses>> {
        self.known.load_full()
    }

    /// Returns the addresses. Queries DNS if they are not cached or have expired.
    pub(in crate::upstream) async fn addresses(&self) -> io::Result<Arc<KnownAddresses>> {
        match self.known.load_full() {
            Some(known) if known.until > Instant::now() => Ok(known),
            _ => self.refresh().await,
        }
    }

    async fn refresh(&self) -> io::Result<Arc<KnownAddresses>> {
        let mut last_query = self.query.lock().await;
        let last = self.known.load_full();
        if let Some(known) = &last
            && known.until > Instant::now()
        {
            return Ok(Arc::clone(known));
        }
        if let Some(failure) = last_query
            .failure
            .as_ref()
            .filter(|failure| failure.until > Instant::now())
        {
            return Err(failure.error());
        }
        let known = match self.resolve(last.as_deref()).await {
            Ok(answer) => KnownAddresses {
                addresses: self.limited(answer.addresses, &mut last_query),
                until: Instant::now() + answer.lifetime,
                gone: None,
            },
            Err(error) => {
                let kept = last
                    .as_ref()
                    .and_then(|last| last.after_failure(&error, Instant::now()));
                let Some(known) = kept else {
                    self.known.store(None);
                    return Err(last_query.failure.insert(Failure::new(error)).error());
                };
                if !last_query.is_failing {
                    let failure = NameFailure::LastAddresses;
                    self.failures.note(failure, &self.question, &error);
                }
                last_query.is_failing = true;
                return Ok(self.keep(known));
            }
        };
        last_query.is_failing = false;
        Ok(self.keep(known))
    }

    fn keep(&self, known: KnownAddresses) -> Arc<KnownAddresses> {
        let known = Arc::new(known);
        self.known.store(Some(Arc::clone(&known)));
        known
    }

    /// Queries DNS. Returns the addresses in ascending order and without duplicates. For a service, some of them can be
    /// from the `last` answer.
    async fn resolve(&self, last: Option<&KnownAddresses>) -> io::Result<DnsAnswer<ResolvedIp>> {
        let mut answer = match &self.question {
            Question::Host(name) => {
                let answer = self.client.resolve_host(name).await?;
                let addresses = answer.addresses.into_iter().map(ResolvedIp::from);
                DnsAnswer {
                    addresses: addresses.collect(),
                    lifetime: answer.lifetime,
                }
            }
            Question::Service(service) => {
                let last = last.map_or(&[][..], |last| &last.addresses);
                resolve_srv(&self.client, service, last).await?
            }
        };
        answer.addresses.sort_unstable();
        answer.addresses.dedup();
        Ok(answer)
    }

    /// Keeps at most [`MAX_ADDRESSES`] addresses. Logs a warning the first time that there are more.
    fn limited(
        &self,
        mut addresses: Vec<ResolvedIp>,
        last_query: &mut LastQuery,
    ) -> Vec<ResolvedIp> {
        let is_too_long = addresses.len() > MAX_ADDRESSES;
        if is_too_long && !last_query.is_too_long {
            warn!(host = %self.question, used = MAX_ADDRESSES, "backend name has too many addresses; the others get no requests");
        }
        last_query.is_too_long = is_too_long;
        addresses.truncate(MAX_ADDRESSES);
        addresses
    }
}

impl fmt::Debug for CachedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedName")
            .field("question", &self.question)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::dns_client::NameServer;

    #[tokio::test]
    async fn a_failed_query_is_not_repeated_for_every_request() {
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = HostLookup::new(vec![NameServer::At(server.local_addr().unwrap())]);
        let name = HostName::parse("app.example.test").unwrap();
        let host = CachedName::new(Question::Host(name), client, Arc::default());
        let mut questions = 0;
        let answering = async {
            let mut packet = [0; 512];
            loop {
                let (len, client) = server.recv_from(&mut packet).await.unwrap();
                questions += 1;
                // The question becomes a response with NXDOMAIN.
                packet[2] = 0x84;
                packet[3] = 3;
                server.send_to(&packet[..len], client).await.unwrap();
            }
        };
        let asking = async {
            for _ in 0..20 {
                let error = host.addresses().await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::NotFound);
            }
        };
        tokio::select! {
            () = asking => {}
            () = answering => {}
        }
        assert!(questions <= 4, "{questions}");
    }

    #[test]
    fn a_removed_name_keeps_its_addresses_for_a_while() {
        let start = Instant::now();
        let mut known = KnownAddresses {
            addresses: vec![IpAddr::from([10, 0, 0, 1]).into()],
            until: start,
            gone: None,
        };
        let gone = io::Error::from(io::ErrorKind::NotFound);
        let down = io::Error::from(io::ErrorKind::TimedOut);
        let mut now = start;
        let mut answers = 0;
        while let Some(next) = known.after_failure(&gone, now) {
            assert_eq!(next.addresses, known.addresses);
            assert!(next.until > now && next.until <= now + RETRY_AFTER);
            (now, known) = (next.until, next);
            answers += 1;
        }
        assert_eq!(now - start, GRACE);
        assert!(answers > 3, "{answers}");
        // A time-out does not say that the name is gone.
        for _ in 0..100 {
            known = known.after_failure(&down, now).unwrap();
            now = known.until;
        }
        assert!(known.after_failure(&gone, now).is_none());
    }
}
