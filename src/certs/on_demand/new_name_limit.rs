//! How many names that nobody has heard of are let in, so that a flood of made-up ones reaches
//! neither the operator's endpoint nor a CA. In memory only.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

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

/// Lets a bounded number of new names in.
#[derive(Debug)]
pub(super) struct NewNameLimit {
    networks: Mutex<LruCache<Network, Rate>>,
    all: Mutex<Rate>,
    per_network: u16,
    per_hour: u16,
}

impl NewNameLimit {
    /// At most so many names an hour from each network and in all.
    pub(crate) fn new(per_network: u16, per_hour: u16) -> Self {
        Self {
            networks: Mutex::new(LruCache::new(NETWORKS)),
            all: Mutex::default(),
            per_network,
            per_hour,
        }
    }

    /// Lets one more name in from a network, or says how long it has to wait.
    pub(super) fn admit_from(&self, network: Network) -> Result<(), Duration> {
        let networks = self.networks.lock();
        let mut networks = networks.unwrap_or_else(PoisonError::into_inner);
        let rate = networks.get_or_insert_mut(network, Rate::default);
        rate.take(self.per_network)
    }

    /// Lets one more name in from anywhere, or says how long it has to wait.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        let all = self.all.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        all.take(self.per_hour)
    }
}

/// The generic cell rate algorithm: an hour's worth at once, then one each time an even share of
/// the hour has passed.
#[derive(Debug, Default)]
struct Rate {
    /// When all that was taken is paid back.
    even: Option<Instant>,
}

impl Rate {
    fn take(&mut self, per_hour: u16) -> Result<(), Duration> {
        let now = Instant::now();
        let share = HOUR / u32::from(per_hour.max(1));
        let even = self.even.unwrap_or(now).max(now) + share;
        let debt = even.duration_since(now);
        // Shares are rounded down, so the whole hour's worth always fits.
        if debt > HOUR {
            return Err(debt - HOUR);
        }
        self.even = Some(even);
        Ok(())
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
