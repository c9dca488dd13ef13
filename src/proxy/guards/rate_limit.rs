//! Rate limits on the requests of a site or of each client.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::gcra::{Gcra, Meter};

/// Limit on the rate of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitOptions {
    /// Number of requests allowed per period.
    pub requests: u16,
    /// Length of the period.
    pub per: Duration,
    /// Number of requests allowed at once after a pause.
    pub burst: u16,
    /// Requests that are counted together.
    pub by: RateScope,
}

/// Requests that a rate limit counts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateScope {
    /// Requests of one client.
    #[default]
    Client,
    /// All requests of the site.
    Site,
}

/// Number of sets of remembered clients in one limiter. A client is looked up and replaced within one set, never by a
/// search through all of them.
const SETS: usize = 4096;
/// Maximum number of clients in one set.
const SET_SIZE: usize = 16;

/// Counts requests against one rate limit.
#[derive(Debug)]
pub(super) struct RateLimiter {
    options: RateLimitOptions,
    rate: Gcra,
    meters: Meters,
}

#[derive(Debug)]
enum Meters {
    Clients(ClientMeters),
    Site(Mutex<Meter>),
}

impl RateLimiter {
    pub(super) fn new(options: &RateLimitOptions) -> Self {
        Self {
            options: options.clone(),
            rate: Gcra::new(options.requests, options.per, options.burst),
            meters: match options.by {
                RateScope::Client => Meters::Clients(ClientMeters::new(SETS)),
                RateScope::Site => Meters::Site(Mutex::default()),
            },
        }
    }

    /// Options that the limiter was created with.
    pub(super) fn options(&self) -> &RateLimitOptions {
        &self.options
    }

    /// Counts a request of `client`. Fails with the time to wait if the request exceeds the rate.
    pub(super) fn take(&self, client: IpAddr) -> Result<(), Duration> {
        let now = Instant::now();
        match &self.meters {
            Meters::Clients(meters) => meters.take(ClientKey::of(client), now, &self.rate),
            Meters::Site(meter) => self.rate.take(&mut meter.lock(), now),
        }
    }
}

/// One client: an IPv4 address, or an IPv6 /64 network, since one client may use all addresses of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey(u128);

impl ClientKey {
    /// Client that uses this address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) => Self(address.to_bits() >> 64 << 64),
        }
    }
}

type Set = Vec<(ClientKey, Meter)>;

/// Meters of many clients in bounded memory.
#[derive(Debug)]
struct ClientMeters {
    sets: Box<[Mutex<Set>]>,
    /// Randomly keyed, so that nobody can choose addresses that share a set.
    hasher: RandomState,
}

impl ClientMeters {
    fn new(sets: usize) -> Self {
        Self {
            sets: (0..sets).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Counts a request. In a full set, a new client replaces the one that has used up least of its rate.
    fn take(&self, client: ClientKey, now: Instant, rate: &Gcra) -> Result<(), Duration> {
        let hash = self.hasher.hash_one(client);
        let number = usize::try_from(hash % self.sets.len() as u64).unwrap_or_default();
        let mut set = self.sets[number].lock();
        if let Some((_, meter)) = set.iter_mut().find(|(key, _)| *key == client) {
            return rate.take(meter, now);
        }
        let mut meter = Meter::default();
        rate.take(&mut meter, now)?;
        if set.len() < SET_SIZE {
            set.push((client, meter));
        } else if let Some(idlest) = set.iter_mut().min_by_key(|(_, meter)| *meter) {
            *idlest = (client, meter);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn limiter(requests: u16, burst: u16, by: RateScope) -> RateLimiter {
        RateLimiter::new(&RateLimitOptions {
            requests,
            per: Duration::from_secs(1),
            burst,
            by,
        })
    }

    fn client(number: u32) -> IpAddr {
        IpAddr::from(std::net::Ipv4Addr::from_bits(number))
    }

    fn taken(limiter: &RateLimiter, client: IpAddr, tries: usize) -> usize {
        (0..tries).filter(|_| limiter.take(client).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_burst_requests_are_admitted_at_the_rate() {
        let limiter = limiter(10, 5, RateScope::Client);
        assert_eq!(taken(&limiter, client(1), 20), 5);
        for _ in 0..30 {
            advance(Duration::from_millis(100)).await;
            assert_eq!(taken(&limiter, client(1), 3), 1);
        }
        advance(Duration::from_secs(60)).await;
        assert_eq!(taken(&limiter, client(1), 20), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_client_learns_how_long_to_wait() {
        let limiter = limiter(2, 1, RateScope::Client);
        limiter.take(client(1)).unwrap();
        let wait = limiter.take(client(1)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        // A refused request does not lengthen the wait.
        assert_eq!(limiter.take(client(1)).unwrap_err(), wait);
        advance(wait).await;
        limiter.take(client(1)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn clients_are_counted_separately_or_together() {
        let (separate, together) = (
            limiter(1, 3, RateScope::Client),
            limiter(1, 3, RateScope::Site),
        );
        let sum = |limiter: &RateLimiter| -> usize {
            (1..=4).map(|n| taken(limiter, client(n), 10)).sum()
        };
        assert_eq!((sum(&separate), sum(&together)), (12, 3));
        let network = ["2001:db8::1", "2001:db8::2:1"].map(|text| text.parse().unwrap());
        assert_eq!(network.map(|client| taken(&separate, client, 10)), [3, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_idle_clients_are_replaced_first() {
        let meters = ClientMeters::new(4);
        let rate = Gcra::new(1, Duration::from_secs(1), 10);
        let now = Instant::now();
        let busy = ClientKey::of(client(0));
        while meters.take(busy, now, &rate).is_ok() {}
        for number in 1..100_000 {
            meters
                .take(ClientKey::of(client(number)), now, &rate)
                .unwrap();
        }
        let held: usize = meters.sets.iter().map(|set| set.lock().len()).sum();
        let room: usize = meters.sets.iter().map(|set| set.lock().capacity()).sum();
        assert_eq!((held, room), (4 * SET_SIZE, 4 * SET_SIZE));
        // A client that has used up more than the new ones is not forgotten.
        assert!(meters.take(busy, now, &rate).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_rate_and_the_largest_burst_fit_the_clock() {
        let rate = Gcra::new(1, Duration::from_secs(366 * 24 * 3600), u16::MAX);
        let (meters, busy) = (ClientMeters::new(1), ClientKey::of(client(1)));
        let late = Instant::now() + Duration::from_nanos(u64::MAX / 2);
        for _ in 0..1000 {
            meters.take(busy, late, &rate).unwrap();
        }
    }

    fn is_one(a: &str, b: &str) -> bool {
        ClientKey::of(a.parse().unwrap()) == ClientKey::of(b.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        assert!(is_one("192.0.2.7", "::ffff:192.0.2.7"));
        assert!(!is_one("192.0.2.7", "192.0.2.8"));
        assert!(is_one("2001:db8::7", "2001:db8::ffff:ffff:ffff:ffff"));
        assert!(!is_one("2001:db8::7", "2001:db8:0:1::7"));
        assert!(!is_one("0.0.0.0", "::"));
    }
}
