//! The addresses of a backend's host, kept for as long as DNS says and asked for again then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::net::lookup_host;
use tokio::time::Instant;
use tracing::warn;

use crate::name::HostName;

/// How long one server is given for one answer: several tries fit into the default connect time-out.
const TIMEOUT: Duration = Duration::from_secs(1);
/// For how long an answer is taken at the least and at the most, whatever its TTL: one of 0 would ask for every connection,
/// and one of days would keep a moved app away for as long.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// How long the system's own look-up stands, which tells no TTL.
const WITHOUT_TTL: Duration = Duration::from_secs(10);
/// When DNS is asked again after it gave no answer; what it said last stands until then.
pub(super) const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Any port will do to learn whether there is a route.
const DISCARD: u16 = 9;

/// A DNS server that knows the hosts of backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsServer {
    /// Those that the system is set up with, and its hosts file and other sources of names.
    System,
    /// A server that resolves any name.
    At(SocketAddr),
}

/// Resolves the hosts of all backends. Clones are the same resolver.
#[derive(Clone)]
pub struct Resolver(Arc<Shared>);

struct Shared {
    servers: Vec<DnsServer>,
    client: OnceLock<TokioResolver>,
    hosts: DashMap<HostName, Arc<Host>>,
}

impl Resolver {
    /// A resolver that asks these servers.
    #[must_use]
    pub fn new(servers: Vec<DnsServer>) -> Self {
        Self(Arc::new(Shared {
            servers,
            client: OnceLock::new(),
            hosts: DashMap::new(),
        }))
    }

    /// Whether both are the same resolver.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What is known of a host, for all who ask for it. `None` if it is an address by itself, or this machine.
    pub(super) fn host(&self, name: &HostName) -> Option<Arc<Host>> {
        let is_here = name.as_str() == "localhost" || name.as_str().ends_with(".localhost");
        if is_here || name.ip().is_some() {
            return None;
        }
        let host = self.0.hosts.entry(name.clone()).or_insert_with(|| {
            Arc::new(Host {
                name: name.clone(),
                resolver: self.clone(),
                known: ArcSwapOption::empty(),
                asking: tokio::sync::Mutex::new(None),
            })
        });
        Some(Arc::clone(&host))
    }

    async fn ask(&self, name: &HostName) -> io::Result<Answer> {
        let is_system = self.0.servers.contains(&DnsServer::System);
        let answer = match self.ask_dns(name).await {
            // The system may know names that DNS does not: mDNS, NIS, containers.
            Err(error) if is_system => ask_system(name).await.map_err(|_| error),
            answer => answer,
        };
        answer?.elsewhere().map(Answer::within_reach)
    }

    async fn ask_dns(&self, name: &HostName) -> io::Result<Answer> {
        let client = self.client()?;
        let found = client.lookup_ip(name.as_str()).await.map_err(failure)?;
        let ttl = found.as_lookup().answers().iter().map(|record| record.ttl);
        let lifetime = Duration::from_secs(ttl.min().unwrap_or_default().into());
        Ok(Answer {
            addresses: found.iter().collect(),
            lifetime: lifetime.clamp(SHORTEST, LONGEST),
        })
    }

    fn client(&self) -> io::Result<&TokioResolver> {
        if let Some(client) = self.0.client.get() {
            return Ok(client);
        }
        let client = build(&self.0.servers).map_err(io::Error::other)?;
        Ok(self.0.client.get_or_init(|| client))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resolver").field(&self.0.servers).finish()
    }
}

struct Answer {
    addresses: Vec<IpAddr>,
    lifetime: Duration,
}

impl Answer {
    /// Without the unspecified address, which filters of DNS give for names that they keep back: a connection to it would
    /// lead to this machine.
    fn elsewhere(mut self) -> io::Result<Self> {
        self.addresses
            .retain(|ip| !ip.to_canonical().is_unspecified());
        match self.addresses.is_empty() {
            true => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the answer has no address that leads anywhere",
            )),
            false => Ok(self),
        }
    }

    /// Without the addresses that this machine has no route to, such as those of IPv6 on one that has none. All of them
    /// where that leaves nothing: an attempt says what is wrong.
    fn within_reach(mut self) -> Self {
        if self.addresses.iter().any(|ip| has_route(*ip)) {
            self.addresses.retain(|ip| has_route(*ip));
        }
        self.addresses.sort_unstable();
        self.addresses.dedup();
        self
    }
}

/// Whether the system would send anything to `ip`. Sends nothing.
fn has_route(ip: IpAddr) -> bool {
    let own: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((own, 0)).is_ok_and(|socket| socket.connect((ip, DISCARD)).is_ok())
}

async fn ask_system(name: &HostName) -> io::Result<Answer> {
    let found = lookup_host((name.as_str(), 0)).await?;
    Ok(Answer {
        addresses: found.map(|address| address.ip()).collect(),
        lifetime: WITHOUT_TTL,
    })
}

fn build(servers: &[DnsServer]) -> Result<TokioResolver, NetError> {
    let mut config = ResolverConfig::from_name_servers(Vec::new());
    let mut options = ResolverOpts::default();
    for server in servers {
        match server {
            DnsServer::At(address) => config.add_name_server(server_config(*address)),
            DnsServer::System => {
                let (system, settings) = hickory_resolver::system_conf::read_system_conf()?;
                options.ndots = settings.ndots;
                let own = config.name_servers().to_vec();
                let all = [own, system.name_servers().to_vec()].concat();
                config = ResolverConfig::from_parts(
                    system.domain().cloned(),
                    system.search().to_vec(),
                    all,
                );
            }
        }
    }
    options.timeout = TIMEOUT;
    options.attempts = 1;
    options.edns0 = true;
    options.cache_size = 0;
    if !servers.contains(&DnsServer::System) {
        options.use_hosts_file = ResolveHosts::Never;
    }
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
}

fn server_config(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}

fn failure(error: NetError) -> io::Error {
    match error.is_nx_domain() || error.is_no_records_found() {
        true => io::Error::new(io::ErrorKind::NotFound, error),
        false => io::Error::other(error),
    }
}

/// One host: who needs its addresses shares one answer, and one question at a time.
pub(super) struct Host {
    name: HostName,
    resolver: Resolver,
    known: ArcSwapOption<Known>,
    /// Held by who asks.
    asking: tokio::sync::Mutex<Option<Failure>>,
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

/// What a host resolved to.
#[derive(Debug)]
pub(super) struct Known {
    /// In ascending order.
    pub(super) addresses: Vec<IpAddr>,
    /// When DNS is to be asked again.
    pub(super) until: Instant,
}

impl Host {
    pub(super) fn name(&self) -> &HostName {
        &self.name
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
        let mut failed = self.asking.lock().await;
        let last = self.known.load_full();
        if let Some(known) = &last
            && known.until > Instant::now()
        {
            return Ok(Arc::clone(known));
        }
        if let Some(failure) = failed
            .as_ref()
            .filter(|failure| failure.until > Instant::now())
        {
            return Err(failure.error());
        }
        let (addresses, lifetime) = match (self.resolver.ask(&self.name).await, last) {
            (Ok(answer), _) => (answer.addresses, answer.lifetime),
            (Err(error), Some(last)) if error.kind() != io::ErrorKind::NotFound => {
                warn!(host = %self.name, %error, "host of backends did not resolve; its last addresses stand");
                (last.addresses.clone(), AFTER_FAILURE)
            }
            (Err(error), _) => {
                self.known.store(None);
                return Err(failed.insert(Failure::new(error)).error());
            }
        };
        let known = Arc::new(Known {
            addresses,
            until: Instant::now() + lifetime,
        });
        self.known.store(Some(Arc::clone(&known)));
        Ok(known)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("name", &self.name)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_route_is_left_out_where_there_is_another() {
        let reach = |texts: &[&str]| {
            let addresses = texts.iter().map(|text| text.parse().unwrap()).collect();
            let answer = Answer {
                addresses,
                lifetime: SHORTEST,
            };
            let found = answer.within_reach().addresses.into_iter();
            found.map(|ip| ip.to_string()).collect::<Vec<_>>()
        };
        // No machine has a route to a multicast group of a link that does not exist.
        assert_eq!(
            reach(&["127.0.0.2", "ff02::1", "127.0.0.1", "127.0.0.1"]),
            ["127.0.0.1", "127.0.0.2"]
        );
        assert_eq!(reach(&["ff02::1"]), ["ff02::1"]);
    }

    #[test]
    fn a_name_that_a_filter_keeps_back_does_not_lead_to_this_machine() {
        let elsewhere = |texts: &[&str]| {
            let addresses = texts.iter().map(|text| text.parse().unwrap()).collect();
            let answer = Answer {
                addresses,
                lifetime: SHORTEST,
            };
            answer.elsewhere().map(|answer| answer.addresses.len())
        };
        assert_eq!(elsewhere(&["0.0.0.0", "10.0.0.1", "::"]).unwrap(), 1);
        for texts in [&["0.0.0.0"][..], &["::", "::ffff:0.0.0.0"], &[]] {
            let error = elsewhere(texts).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{texts:?}");
        }
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_not_asked_for_by_each_request() {
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let resolver = Resolver::new(vec![DnsServer::At(server.local_addr().unwrap())]);
        let host = resolver.host(&HostName::parse("app.example.test").unwrap());
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
    fn an_address_needs_no_resolver_and_a_name_is_known_once() {
        let resolver = Resolver::new(vec![DnsServer::System]);
        for here in ["10.0.0.1", "::1", "localhost", "app.localhost"] {
            let name = HostName::parse(here).unwrap();
            assert!(resolver.host(&name).is_none(), "{here}");
        }
        let name = HostName::parse("app").unwrap();
        let (one, other) = (resolver.host(&name).unwrap(), resolver.host(&name).unwrap());
        assert!(Arc::ptr_eq(&one, &other));
    }
}
