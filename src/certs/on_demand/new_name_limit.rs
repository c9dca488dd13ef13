//! Limits of new on-demand names, so that a flood of made-up names reaches neither the ask endpoint nor a CA. In memory
//! only.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::gcra::{Gcra, Meter};

const HOUR: Duration = Duration::from_secs(3600);
/// Limits how many networks are remembered. The least recently used ones are dropped first.
const MAX_NETWORKS: NonZeroUsize = NonZeroUsize::new(16_384).expect("it is not zero");

/// The network of a client, by which new names are counted: a /24 of IPv4, a /48 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// Returns the network of a client.
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

/// Limits the rate of new names. An hour's worth is allowed at once, and then one after each equal share of an hour.
#[derive(Debug)]
pub(super) struct NewNameLimit {
    per_network: Gcra,
    networks: Mutex<LruCache<Network, Meter>>,
    total: Gcra,
    total_meter: Mutex<Meter>,
}

impl NewNameLimit {
    /// Allows `per_network` names an hour from each network, and `per_hour` in total.
    pub(super) fn new(per_network: u16, per_hour: u16) -> Self {
        Self {
            per_network: Gcra::new(per_network, HOUR, per_network),
            networks: Mutex::new(LruCache::new(MAX_NETWORKS)),
            total: Gcra::new(per_hour, HOUR, per_hour),
            total_meter: Mutex::default(),
        }
    }

    /// Counts one more name from a network, or returns the time until one is allowed.
    pub(super) fn admit_from(&self, network: Network) -> Result<(), Duration> {
        let mut networks = self.networks.lock();
        let meter = networks.get_or_insert_mut(network, Meter::default);
        self.per_network.take(meter, Instant::now())
    }

    /// Counts one more name in total, or returns the time until one is allowed.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        let mut meter = self.total_meter.lock();
        self.total.take(&mut meter, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(client: &str) -> Network {
        Network::of(client.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn each_network_has_a_limit_that_refills_evenly() {
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
    async fn the_total_is_limited_too() {
        let new_names = NewNameLimit::new(20, 600);
        let admitted = (0..1000).filter(|_| new_names.admit().is_ok()).count();
        assert_eq!(admitted, 600);
    }

    #[test]
    fn clients_of_one_network_count_together() {
        for (client, shown) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ] {
            assert_eq!(network(client).to_string(), shown);
        }
    }
}
