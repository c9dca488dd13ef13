//! What is known of where a name leads to: taken for as long as DNS says, asked for again then, and kept for a while when DNS
//! has nothing to say.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::address::Address;
use super::resolve::{Resolver, SHORTEST};
use super::service::{ServiceName, Target};
use crate::name::HostName;

/// When DNS is asked again after it gave no answer; what it said last stands until then.
pub(super) const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// For how long the last addresses of a name stand of which DNS says that it has none any more: a zone that is written anew
/// may be without it for a moment.
const GRACE: Duration = Duration::from_secs(60);
/// How many addresses of one name are used.
pub(super) const MOST: usize = 64;

/// What DNS is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Host(HostName),
    Service(ServiceName),
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => name.fmt(f),
            Self::Service(service) => service.fmt(f),
        }
    }
}

/// One host or service: who needs its addresses shares one answer, and one question at a time.
pub(super) struct Host {
    question: Question,
    resolver: Resolver,
    known: ArcSwapOption<Known>,
    /// Held by who asks.
    asking: Mutex<Memory>,
}

/// What the last answers were like.
#[derive(Default)]
struct Memory {
    failure: Option<Failure>,
    is_too_long: bool,
}

/// That DNS knew no address, which stands for a moment too: else each request would be a question.
struct Failure {
    error: Arc<io::Error>,
    until: Instant,
}

impl Failure {
    fn new(error: io::Error) -> Self {
        Self {
            error: Arc::new(error),
            until: Instant::now() + SHORTEST,
        }
    }

    fn error(&self) -> io::Error {
        io::Error::new(self.error.kind(), Arc::clone(&self.error))
    }
}

/// One address that a name leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    target: Option<Target>,
    pub(super) ip: IpAddr,
}

impl From<IpAddr> for Found {
    fn from(ip: IpAddr) -> Self {
        Self { target: None, ip }
    }
}

impl Found {
    pub(super) fn serving(target: Target, ip: IpAddr) -> Self {
        Self {
            target: Some(target),
            ip,
        }
    }

    /// The backend that `whole` leads to here.
    pub(super) fn member_of(&self, whole: &Address) -> Address {
        match &self.target {
            None => whole.at(self.ip),
            Some(target) => whole.serving(target, self.ip),
        }
    }

    /// Where the name is a service's.
    pub(super) fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// Whether it is one of the addresses of a service's host.
    pub(super) fn is_of(&self, host: &HostName) -> bool {
        self.target
            .as_ref()
            .is_some_and(|target| target.host == *host)
    }
}

/// What a name resolved to.
#[derive(Debug)]
pub(super) struct Known {
    /// In ascending order.
    pub(super) addresses: Vec<Found>,
    /// When DNS is to be asked again.
    pub(super) until: Instant,
    /// Since when DNS says that there are none.
    gone: Option<Instant>,
}

impl Known {
    /// What stands after DNS has not answered with an address, unless it has gone on to say for long that there is none.
    fn outliving(&self, error: &io::Error, now: Instant) -> Option<Self> {
        let gone = match error.kind() {
            io::ErrorKind::NotFound => self.gone.or(Some(now)),
            _ => self.gone,
        };
        let end = gone.map_or(now + AFTER_FAILURE, |gone| gone + GRACE);
        let is_over = error.kind() == io::ErrorKind::NotFound && end <= now;
        (!is_over).then(|| Self {
            addresses: self.addresses.clone(),
            until: end.clamp(now + SHORTEST, now + AFTER_FAILURE),
            gone,
        })
    }
}

impl Host {
    pub(super) fn new(question: Question, resolver: Resolver) -> Self {
        Self {
            question,
            resolver,
            known: ArcSwapOption::empty(),
            asking: Mutex::new(Memory::default()),
        }
    }

    pub(super) fn name(&self) -> impl fmt::Display {
        &self.question
    }

    /// The addresses as far as they are known, though their time may be over.
    pub(super) fn known(&self) -> Option<Arc<Known>> {
        self.known.load_full()
    }

    /// The addresses, asked for if they are not known yet or no longer.
    pub(super) async fn addresses(&self) -> io::Result<Arc<Known>> {
        match self.known.load_full() {
            Some(known) if known.until > Instant::now() => Ok(known),
            _ => self.refresh().await,
        }
    }

    async fn refresh(&self) -> io::Result<Arc<Known>> {
        let mut memory = self.asking.lock().await;
        let last = self.known.load_full();
        if let Some(known) = &last
            && known.until > Instant::now()
        {
            return Ok(Arc::clone(known));
        }
        if let Some(failure) = memory
            .failure
            .as_ref()
            .filter(|failure| failure.until > Instant::now())
        {
            return Err(failure.error());
        }
        let known = match self.resolver.ask(&self.question, last.as_deref()).await {
            Ok((addresses, lifetime)) => Known {
                addresses: self.bounded(addresses, &mut memory),
                until: Instant::now() + lifetime,
                gone: None,
            },
            Err(error) => {
                let stands = last
                    .as_ref()
                    .and_then(|last| last.outliving(&error, Instant::now()));
                let Some(known) = stands else {
                    self.known.store(None);
                    return Err(memory.failure.insert(Failure::new(error)).error());
                };
                if last.is_some_and(|last| last.gone.is_none()) {
                    warn!(host = %self.question, %error, "host of backends did not resolve; its last addresses stand");
                }
                known
            }
        };
        let known = Arc::new(known);
        self.known.store(Some(Arc::clone(&known)));
        Ok(known)
    }

    /// The addresses that are used, and a word on it where these are not all.
    fn bounded(&self, mut addresses: Vec<Found>, memory: &mut Memory) -> Vec<Found> {
        let is_too_long = addresses.len() > MOST;
        if is_too_long && !memory.is_too_long {
            warn!(host = %self.question, used = MOST, "host of backends has too many addresses; the rest gets no requests");
        }
        memory.is_too_long = is_too_long;
        addresses.truncate(MOST);
        addresses
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("question", &self.question)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::resolve::DnsServer;

    #[tokio::test]
    async fn a_name_without_an_address_is_not_asked_for_by_each_request() {
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let resolver = Resolver::new(vec![DnsServer::At(server.local_addr().unwrap())]);
        let host = resolver.host(&Address::parse("app.example.test:80").unwrap());
        let host = host.unwrap();
        let mut questions = 0;
        let answering = async {
            let mut packet = [0; 512];
            loop {
                let (len, client) = server.recv_from(&mut packet).await.unwrap();
                questions += 1;
                // A response that says that there is no such name.
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
    fn a_name_that_is_gone_keeps_its_addresses_for_a_while() {
        let start = Instant::now();
        let mut known = Known {
            addresses: vec![IpAddr::from([10, 0, 0, 1]).into()],
            until: start,
            gone: None,
        };
        let gone = io::Error::from(io::ErrorKind::NotFound);
        let down = io::Error::from(io::ErrorKind::TimedOut);
        let mut now = start;
        let mut answers = 0;
        while let Some(next) = known.outliving(&gone, now) {
            assert_eq!(next.addresses, known.addresses);
            assert!(next.until > now && next.until <= now + AFTER_FAILURE);
            (now, known) = (next.until, next);
            answers += 1;
        }
        assert_eq!(now - start, GRACE);
        assert!(answers > 3, "{answers}");
        // Silence is no word on whether it is gone.
        for _ in 0..100 {
            known = known.outliving(&down, now).unwrap();
            now = known.until;
        }
        assert!(known.outliving(&gone, now).is_none());
    }
}
