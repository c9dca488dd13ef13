//! DNS queries for the hosts of backends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{Name, Record};
use tokio::net::lookup_host;
use tokio::task::spawn_blocking;

use super::hosts_file::HostsFile;
use crate::dns_client::{ClientOptions, NameServer};
use crate::name::HostName;

/// Time-out for one answer from one server. Several attempts fit into the default connect time-out.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Minimum time for which an answer is used. A TTL of 0 would mean a query for each connection.
pub(super) const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// Maximum time for which an answer is used. With a TTL of days, it would take days to notice that an app has moved.
const MAX_LIFETIME: Duration = Duration::from_secs(60);
/// Time for which an answer from the system's resolver is used, which has no TTL.
const WITHOUT_TTL: Duration = Duration::from_secs(10);

/// Port for the route check. Any port works, since nothing is sent.
const DISCARD: u16 = 9;
/// Maximum number of addresses of one name that are used.
pub(super) const MAX_ADDRESSES: usize = 64;

/// Client for a list of DNS servers. Clones share it.
#[derive(Clone)]
pub(super) struct HostLookup(Arc<Lazy>);

struct Lazy {
    servers: Vec<NameServer>,
    hosts_file: HostsFile,
    client: OnceLock<TokioResolver>,
}

impl HostLookup {
    pub(super) fn new(servers: Vec<NameServer>) -> Self {
        Self(Arc::new(Lazy {
            servers,
            hosts_file: HostsFile::of_system(),
            client: OnceLock::new(),
        }))
    }

    /// Resolves one host. Leaves out addresses that this machine cannot reach.
    pub(super) async fn resolve_host(&self, name: &HostName) -> io::Result<DnsAnswer<IpAddr>> {
        // Not parsed as text, since texts are taken for international names, which have no underscores.
        let dns_name = Name::from_ascii(name.as_str()).map_err(io::Error::other)?;
        let is_system = self.0.servers.contains(&NameServer::System);
        if is_system && let Some(answer) = self.look_in_hosts_file(&dns_name).await {
            return answer.without_unspecified().map(DnsAnswer::within_reach);
        }
        let answer = match self.ask_dns(dns_name).await {
            // The system may know names that are not in DNS, from mDNS, NIS or containers.
            Err(error) if is_system => ask_system(name).await.map_err(|_| error),
            answer => answer,
        };
        answer?.without_unspecified().map(DnsAnswer::within_reach)
    }

    /// Returns what the hosts file says, if it has the name. The answer is short-lived: another look costs little.
    async fn look_in_hosts_file(&self, name: &Name) -> Option<DnsAnswer<IpAddr>> {
        let (lookup, name) = (self.clone(), name.clone());
        let looking = spawn_blocking(move || lookup.0.hosts_file.addresses(&name));
        let addresses = looking.await.unwrap_or_default();
        (!addresses.is_empty()).then_some(DnsAnswer {
            addresses,
            lifetime: MIN_LIFETIME,
        })
    }

    async fn ask_dns(&self, name: Name) -> io::Result<DnsAnswer<IpAddr>> {
        let client = self.get()?;
        let found = client.lookup_ip(name).await.map_err(into_io)?;
        Ok(DnsAnswer {
            addresses: found.iter().collect(),
            lifetime: lifetime(found.as_lookup().answers()),
        })
    }

    /// Returns the client. Builds it at the first call.
    pub(super) fn get(&self) -> io::Result<&TokioResolver> {
        if let Some(client) = self.0.client.get() {
            return Ok(client);
        }
        let options = ClientOptions {
            servers: self.0.servers.clone(),
            timeout: TIMEOUT,
            is_recursive: true,
            uses_search_domains: true,
        };
        let client = options.build().map_err(io::Error::other)?;
        Ok(self.0.client.get_or_init(|| client))
    }
}

impl fmt::Debug for HostLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostLookup").field(&self.0.servers).finish()
    }
}

/// Returns the time for which these records may be used: their lowest TTL, within the limits above.
pub(super) fn lifetime(records: &[Record]) -> Duration {
    let ttl = records.iter().map(|record| record.ttl).min();
    Duration::from_secs(ttl.unwrap_or_default().into()).clamp(MIN_LIFETIME, MAX_LIFETIME)
}

/// Addresses, and the time for which they may be used.
#[derive(Debug)]
pub(super) struct DnsAnswer<T> {
    pub(in crate::upstream) addresses: Vec<T>,
    pub(super) lifetime: Duration,
}

impl DnsAnswer<IpAddr> {
    /// Removes unspecified addresses such as `0.0.0.0`. DNS filters answer with them for blocked names, and a
    /// connection to one would reach this machine.
    fn without_unspecified(mut self) -> io::Result<Self> {
        self.addresses
            .retain(|ip| !ip.to_canonical().is_unspecified());
        if self.addresses.is_empty() {
            let reason = "the answer has no usable address";
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        }
        Ok(self)
    }

    /// Removes addresses to which this machine has no route, such as IPv6 addresses on a machine without IPv6. Keeps
    /// all of them if none would be left, so that the attempt to connect reports the error.
    ///
    /// Each check takes a socket. So it only considers as many addresses as can be used, and one more, which shows the
    /// caller that there are too many.
    fn within_reach(mut self) -> Self {
        self.addresses.sort_unstable();
        self.addresses.dedup();
        self.addresses.truncate(MAX_ADDRESSES + 1);
        if self.addresses.iter().any(|ip| has_route(*ip)) {
            self.addresses.retain(|ip| has_route(*ip));
        }
        self
    }
}

/// `true` if the system has a route to `ip`. Sends nothing.
fn has_route(ip: IpAddr) -> bool {
    let own: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((own, 0)).is_ok_and(|socket| socket.connect((ip, DISCARD)).is_ok())
}

async fn ask_system(name: &HostName) -> io::Result<DnsAnswer<IpAddr>> {
    let found = lookup_host((name.as_str(), 0)).await?;
    Ok(DnsAnswer {
        addresses: found.map(|address| address.ip()).collect(),
        lifetime: WITHOUT_TTL,
    })
}

/// Converts an error. The kind is `NotFound` if DNS says that there is no such name or record.
pub(super) fn into_io(error: NetError) -> io::Error {
    if error.is_nx_domain() || error.is_no_records_found() {
        io::Error::new(io::ErrorKind::NotFound, error)
    } else {
        io::Error::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_a_route_are_removed_if_there_are_others() {
        let reach = |texts: &[&str]| {
            let addresses = texts.iter().map(|text| text.parse().unwrap()).collect();
            let answer = DnsAnswer {
                addresses,
                lifetime: MIN_LIFETIME,
            };
            let found = answer.within_reach().addresses.into_iter();
            found.map(|ip| ip.to_string()).collect::<Vec<_>>()
        };
        // No machine has a route to a link-local multicast address without an interface.
        assert_eq!(
            reach(&["127.0.0.2", "ff02::1", "127.0.0.1", "127.0.0.1"]),
            ["127.0.0.1", "127.0.0.2"]
        );
        assert_eq!(reach(&["ff02::1"]), ["ff02::1"]);
    }

    #[test]
    fn only_a_limited_number_of_addresses_is_checked() {
        let addresses = (0..5000_u32)
            .rev()
            .map(|n| Ipv4Addr::from(0x7f00_0001 + n % 4000).into());
        let answer = DnsAnswer {
            addresses: addresses.collect(),
            lifetime: MIN_LIFETIME,
        };
        let found = answer.within_reach().addresses;
        assert_eq!(found.len(), MAX_ADDRESSES + 1);
        assert!(found.is_sorted());
        assert_eq!(found[0], IpAddr::from(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn a_name_that_a_dns_filter_blocks_does_not_lead_to_this_machine() {
        let without = |texts: &[&str]| {
            let addresses = texts.iter().map(|text| text.parse().unwrap()).collect();
            let answer = DnsAnswer {
                addresses,
                lifetime: MIN_LIFETIME,
            };
            answer
                .without_unspecified()
                .map(|answer| answer.addresses.len())
        };
        assert_eq!(without(&["0.0.0.0", "10.0.0.1", "::"]).unwrap(), 1);
        for texts in [&["0.0.0.0"][..], &["::", "::ffff:0.0.0.0"], &[]] {
            let error = without(texts).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{texts:?}");
        }
    }
}
