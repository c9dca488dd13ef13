//! The addresses of a backend's host or service, kept for as long as DNS says and asked for again then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use dashmap::DashMap;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Record;
use tokio::net::lookup_host;

use super::address::{Address, Place};
use super::host::{Found, Host, Known, MOST, Question};
use super::service;
use crate::name::HostName;

/// How long one server is given for one answer: several tries fit into the default connect time-out.
const TIMEOUT: Duration = Duration::from_secs(1);
/// For how long an answer is taken at the least and at the most, whatever its TTL: one of 0 would ask for every connection,
/// and one of days would keep a moved app away for as long.
pub(super) const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// How long the system's own look-up stands, which tells no TTL.
const WITHOUT_TTL: Duration = Duration::from_secs(10);

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
    hosts: DashMap<Question, Arc<Host>>,
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

    /// What is known of where `address` leads to, for all who ask for it. `None` if it is an address by itself, or on this
    /// machine.
    pub(super) fn host(&self, address: &Address) -> Option<Arc<Host>> {
        let question = match address.place() {
            Place::Unix(_) => return None,
            Place::Tcp(name, _) if is_here(name) || name.ip().is_some() => return None,
            Place::Tcp(name, _) => Question::Host(name.clone()),
            Place::Service(service) => Question::Service(service.clone()),
        };
        let host = self
            .0
            .hosts
            .entry(question.clone())
            .or_insert_with(|| Arc::new(Host::new(question, self.clone())));
        Some(Arc::clone(&host))
    }

    /// The addresses that answer a question, each once and in ascending order, and for how long they stand. Those of a
    /// service may be its `last` ones.
    pub(super) async fn ask(
        &self,
        question: &Question,
        last: Option<&Known>,
    ) -> io::Result<(Vec<Found>, Duration)> {
        let (mut found, lifetime) = match question {
            Question::Host(name) => {
                let answer = self.ask_host(name).await?;
                let found = answer.addresses.into_iter().map(Found::from);
                (found.collect(), answer.lifetime)
            }
            Question::Service(service) => {
                let last = last.map_or(&[][..], |last| &last.addresses);
                service::find(self, service, last).await?
            }
        };
        found.sort_unstable();
        found.dedup();
        Ok((found, lifetime))
    }

    /// The addresses of one host.
    pub(super) async fn ask_host(&self, name: &HostName) -> io::Result<Answer> {
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
        Ok(Answer {
            addresses: found.iter().collect(),
            lifetime: lifetime(found.as_lookup().answers()),
        })
    }

    pub(super) fn client(&self) -> io::Result<&TokioResolver> {
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

/// Whether this machine answers to the name by itself.
fn is_here(name: &HostName) -> bool {
    name.as_str() == "localhost" || name.as_str().ends_with(".localhost")
}

/// For how long an answer of these records is taken.
pub(super) fn lifetime(records: &[Record]) -> Duration {
    let ttl = records.iter().map(|record| record.ttl).min();
    Duration::from_secs(ttl.unwrap_or_default().into()).clamp(SHORTEST, LONGEST)
}

/// The addresses of one host.
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) lifetime: Duration,
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
    ///
    /// No more are looked at than are ever used, and one that tells that some were left out: to look takes a socket each.
    fn within_reach(mut self) -> Self {
        self.addresses.sort_unstable();
        self.addresses.dedup();
        self.addresses.truncate(MOST + 1);
        if self.addresses.iter().any(|ip| has_route(*ip)) {
            self.addresses.retain(|ip| has_route(*ip));
        }
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

pub(super) fn failure(error: NetError) -> io::Error {
    match error.is_nx_domain() || error.is_no_records_found() {
        true => io::Error::new(io::ErrorKind::NotFound, error),
        false => io::Error::other(error),
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
    fn a_flood_of_addresses_is_cut_before_each_is_looked_at() {
        let addresses = (0..5000_u32)
            .rev()
            .map(|n| Ipv4Addr::from(0x7f00_0001 + n % 4000).into());
        let answer = Answer {
            addresses: addresses.collect(),
            lifetime: SHORTEST,
        };
        let found = answer.within_reach().addresses;
        assert_eq!(found.len(), MOST + 1);
        assert!(found.is_sorted());
        assert_eq!(found[0], IpAddr::from(Ipv4Addr::LOCALHOST));
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

    #[test]
    fn an_address_needs_no_resolver_and_a_name_is_known_once() {
        let resolver = Resolver::new(vec![DnsServer::System]);
        let host = |text: &str| resolver.host(&Address::parse(text).unwrap());
        for here in [
            "10.0.0.1:1",
            "[::1]:1",
            "localhost:1",
            "app.localhost:1",
            "unix:/a",
        ] {
            assert!(host(here).is_none(), "{here}");
        }
        let (one, other) = (host("app:1").unwrap(), host("https://app").unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        assert!(!Arc::ptr_eq(&one, &host("srv://app").unwrap()));
    }
}
