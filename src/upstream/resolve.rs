//! The addresses of a backend's host, kept for as long as DNS says and asked for again then.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use arc_swap::{ArcSwap, ArcSwapOption};
use dashmap::DashMap;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::net::lookup_host;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::name::HostName;
use crate::tasks::Tasks;

/// How long one server is given for one answer: several tries fit into the default connect time-out.
const TIMEOUT: Duration = Duration::from_secs(1);
/// For how long an answer is taken at the least and at the most, whatever its TTL: one of 0 would ask for every connection,
/// and one of days would keep a moved app away for as long.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// How long the system's own look-up stands, which tells no TTL.
const WITHOUT_TTL: Duration = Duration::from_secs(10);
/// When DNS is asked again after it gave no answer; what it said last stands until then.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long an address that took no connection is left alone while the host has others.
const AVOIDED: Duration = Duration::from_secs(10);

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
    tasks: Tasks,
}

impl Resolver {
    /// A resolver that asks these servers, and refreshes its answers in `tasks`.
    #[must_use]
    pub fn new(servers: Vec<DnsServer>, tasks: Tasks) -> Self {
        Self(Arc::new(Shared {
            servers,
            client: OnceLock::new(),
            hosts: DashMap::new(),
            tasks,
        }))
    }

    /// What is known of a host, for all who ask for it. `None` if it is an address by itself.
    pub(super) fn host(&self, name: &HostName) -> Option<Arc<Host>> {
        if name.ip().is_some() {
            return None;
        }
        let host = self.0.hosts.entry(name.clone()).or_insert_with(|| {
            Arc::new(Host {
                name: name.clone(),
                resolver: self.clone(),
                known: ArcSwapOption::empty(),
                avoided: ArcSwap::default(),
                is_refreshed: AtomicBool::new(false),
                asking: tokio::sync::Mutex::new(()),
            })
        });
        Some(Arc::clone(&host))
    }

    async fn ask(&self, name: &HostName) -> io::Result<Answer> {
        let is_system = self.0.servers.contains(&DnsServer::System);
        if name.as_str() == "localhost" || name.as_str().ends_with(".localhost") {
            return ask_system(name).await;
        }
        match self.ask_dns(name).await {
            // The system may know names that DNS does not: mDNS, NIS, containers.
            Err(error) if is_system => ask_system(name).await.map_err(|_| error),
            answer => answer,
        }
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

async fn ask_system(name: &HostName) -> io::Result<Answer> {
    let found = lookup_host((name.as_str(), 0)).await?;
    let mut addresses = Vec::new();
    for ip in found.map(|address| address.ip()) {
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    Ok(Answer {
        addresses,
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
    /// Those that took no connection, and until when they are left alone.
    avoided: ArcSwap<Vec<(IpAddr, Instant)>>,
    is_refreshed: AtomicBool,
    asking: tokio::sync::Mutex<()>,
}

/// What a host resolved to.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) addresses: Vec<IpAddr>,
    until: Instant,
}

impl Host {
    /// The addresses as far as they are known now. An answer that is too old still stands, and is renewed meanwhile.
    pub(super) fn known(self: &Arc<Self>, now: Instant) -> Option<Arc<Known>> {
        let known = self.known.load_full()?;
        if known.until <= now && !self.is_refreshed.swap(true, Ordering::AcqRel) {
            let host = Arc::clone(self);
            self.resolver.0.tasks.spawn(async move {
                if let Err(error) = host.refresh().await {
                    debug!(host = %host.name, %error, "host of backends is gone");
                }
                host.is_refreshed.store(false, Ordering::Release);
            });
        }
        Some(known)
    }

    /// The addresses, asked for if they are not known yet or no longer.
    pub(super) async fn addresses(&self) -> io::Result<Arc<Known>> {
        match self.known.load_full() {
            Some(known) if known.until > Instant::now() => Ok(known),
            _ => self.refresh().await,
        }
    }

    async fn refresh(&self) -> io::Result<Arc<Known>> {
        let _asking = self.asking.lock().await;
        let last = self.known.load_full();
        if let Some(known) = &last
            && known.until > Instant::now()
        {
            return Ok(Arc::clone(known));
        }
        let (addresses, lifetime) = match (self.resolver.ask(&self.name).await, last) {
            (Ok(answer), _) => (answer.addresses, answer.lifetime),
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) if error.kind() == io::ErrorKind::NotFound => {
                self.known.store(None);
                return Err(error);
            }
            (Err(error), Some(last)) => {
                warn!(host = %self.name, %error, "host of backends did not resolve; its last addresses stand");
                (last.addresses.clone(), AFTER_FAILURE)
            }
        };
        let known = Arc::new(Known {
            addresses,
            until: Instant::now() + lifetime,
        });
        self.known.store(Some(Arc::clone(&known)));
        Ok(known)
    }

    /// Leaves an address alone for a while.
    pub(super) fn avoid(&self, address: IpAddr) {
        let now = Instant::now();
        self.avoided.rcu(|avoided| {
            let mut avoided = Vec::clone(avoided);
            avoided.retain(|(ip, until)| *until > now && *ip != address);
            avoided.push((address, now + AVOIDED));
            avoided
        });
    }

    /// Whether the address took no connection lately.
    pub(super) fn is_avoided(&self, address: IpAddr, now: Instant) -> bool {
        let avoided = self.avoided.load();
        let mut found = avoided.iter().filter(|(ip, _)| *ip == address);
        found.any(|(_, until)| *until > now)
    }

    /// One of the addresses that are worth a connection, all of them equally often.
    pub(super) fn draw(&self, known: &Known, now: Instant) -> Option<IpAddr> {
        let preferred = known.addresses.first()?.is_ipv6();
        let fit = || {
            let addresses = known.addresses.iter().copied();
            addresses.filter(|ip| ip.is_ipv6() == preferred && !self.is_avoided(*ip, now))
        };
        match fit().count() {
            0 => None,
            count => fit().nth(fastrand::usize(..count)),
        }
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

/// The order in which addresses are tried: the family of the first one and the other by turns (RFC 8305 section 4), the
/// members of each shuffled, so that all of them are used, and those of the highest `rank` last.
pub(super) fn order<R: Ord>(addresses: &[IpAddr], rank: impl Fn(IpAddr) -> R) -> Vec<IpAddr> {
    let is_first = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut one, mut other): (Vec<_>, Vec<_>) =
        addresses.iter().partition(|ip| ip.is_ipv6() == is_first);
    for family in [&mut one, &mut other] {
        fastrand::shuffle(family);
        family.sort_by_key(|ip| rank(*ip));
    }
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut ordered = Vec::with_capacity(addresses.len());
    while ordered.len() < addresses.len() {
        ordered.extend(one.next());
        ordered.extend(other.next());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_every_member_comes_first_at_times() {
        let addresses = ips(&["::1", "::2", "10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let mut firsts = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let ordered = order(&addresses, |_| 0);
            let families: Vec<_> = ordered.iter().map(IpAddr::is_ipv6).collect();
            assert_eq!(families, [true, false, true, false, false]);
            firsts.insert(ordered[0]);
        }
        assert_eq!(firsts.len(), 2);
    }

    #[test]
    fn the_lowest_rank_comes_first() {
        let addresses = ips(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        for _ in 0..20 {
            let ordered = order(&addresses, |ip| usize::from(ip != addresses[1]));
            assert_eq!(ordered[0], addresses[1]);
        }
        assert!(order(&[], |_| 0).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_fails_is_left_alone_for_a_while() {
        let resolver = Resolver::new(vec![DnsServer::System], Tasks::new());
        let host = resolver.host(&HostName::parse("app").unwrap()).unwrap();
        let addresses = ips(&["10.0.0.1", "10.0.0.2"]);
        let known = Known {
            addresses: addresses.clone(),
            until: Instant::now(),
        };
        host.avoid(addresses[0]);
        for _ in 0..20 {
            assert_eq!(host.draw(&known, Instant::now()), Some(addresses[1]));
        }
        tokio::time::advance(AVOIDED).await;
        let drawn: std::collections::BTreeSet<_> = (0..100)
            .map(|_| host.draw(&known, Instant::now()))
            .collect();
        assert_eq!(drawn.len(), 2);
    }

    #[test]
    fn an_address_needs_no_resolver_and_a_name_is_known_once() {
        let resolver = Resolver::new(vec![DnsServer::System], Tasks::new());
        assert!(
            resolver
                .host(&HostName::parse("10.0.0.1").unwrap())
                .is_none()
        );
        let name = HostName::parse("app").unwrap();
        let (one, other) = (resolver.host(&name).unwrap(), resolver.host(&name).unwrap());
        assert!(Arc::ptr_eq(&one, &other));
    }
}
