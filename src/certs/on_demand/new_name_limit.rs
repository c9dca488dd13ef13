//! How many names that nobody has heard of are let in, so that a flood of made-up ones reaches
//! neither the operator's endpoint nor a CA. In memory only.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::gcra::{Gcra, Meter};

const HOUR: Duration = Duration::from_secs(3600);
/// How many networks are remembered; those that came first leave first.
const NETWORKS: NonZeroUsize = NonZeroUsize::new(16_384).expect("it is not zero");

/// The neighbourhood of a client, which counts as one: a /24 of IPv4, a /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network of a client.
    #[must_use]
    pub fn of(client: IpAddr) -> Self {
        Self(match client.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                IpAddr::from([a, b, c, 0])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
            }
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => write!(f, "{ip}/24"),
            IpAddr::V6(ip) => write!(f, "{ip}/48"),
        }
    }
}

/// Lets a bounded number of new names in: an hour's worth at once, then one whenever an even share of the hour has passed.
#[derive(Debug)]
pub(super) struct NewNameLimit {
    per_network: Gcra,
    networks: Mutex<LruCache<Network, Meter>>,
    in_all: Gcra,
    all: Mutex<Meter>,
}

impl NewNameLimit {
    /// Allows so many names an hour from each network and in all.
    pub(super) fn new(per_network: u16, per_hour: u16) -> Self {
        Self {
            per_network: Gcra::new(per_network, HOUR, per_network),
            networks: Mutex::new(LruCache::new(NETWORKS)),
            in_all: Gcra::new(per_hour, HOUR, per_hour),
            all: Mutex::default(),
        }
    }

    /// Lets one more name in from a network, or returns the time that it has to wait.
    pub(super) fn admit_from(&self, network: Network) -> Result<(), Duration> {
        let mut networks = self.networks.lock();
        let meter = networks.get_or_insert_mut(network, Meter::default);
        self.per_network.take(meter, Instant::now())
    }

    /// Lets one more name in from anywhere, or returns the time that it has to wait.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        self.in_all.take(&mut self.all.lock(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(client: &str) -> Network {
        Network::of(client.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn each_network_has_its_share_and_gets_it_back_evenly() {
        let new_names = NewNameLimit::new(20, 600);
        let taken = |client| {
            let taken = (0..100).filter(|_| new_names.admit_from(network(client)).is_ok());
            taken.count()
        };
        assert_eq!(taken("192.0.2.1"), 20);
        assert_eq!(taken("192.0.2.255"), 0);
        assert_eq!(taken("192.0.3.1"), 20);
        let wait = new_names.admit_from(network("192.0.2.1")).unwrap_err();
        assert_eq!(wait, HOUR / 20);
        tokio::time::advance(wait).await;
        assert_eq!(taken("192.0.2.1"), 1);
        tokio::time::advance(2 * HOUR).await;
        assert_eq!(taken("192.0.2.1"), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn the_total_is_bounded_too() {
        let new_names = NewNameLimit::new(20, 600);
        let admitted = (0..1000).filter(|_| new_names.admit().is_ok()).count();
        assert_eq!(admitted, 600);
    }

    #[test]
    fn neighbours_count_as_one() {
        for (client, shown) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ] {
            assert_eq!(network(client).to_string(), shown);
        }
    }
}
