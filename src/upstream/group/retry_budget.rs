//! Retry budget: number of retries that an upstream allows. It keeps retries from multiplying the load during an outage.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Number of retries per second that are always allowed, so that upstreams with few requests can retry too.
const RESERVE: f64 = 10.0;
/// Time after which an unused part of the budget expires.
const MEMORY: Duration = Duration::from_secs(10);

/// Retry budget of one upstream and worker. Each request adds a fraction of a retry, and each second adds some too. To
/// count a request costs one plain store; everything else is computed when a retry is wanted.
#[derive(Debug)]
pub(super) struct RetryBudget {
    /// Number of requests since the last call of [`Self::take`].
    requests: AtomicU32,
    /// Number of retries that each request adds.
    ratio: f64,
    account: Mutex<Account>,
}

/// Retries that are left.
#[derive(Debug)]
struct Account {
    balance: f64,
    /// Time of the last call of [`RetryBudget::take`].
    last: Instant,
}

impl RetryBudget {
    /// A budget of `percent` retries per hundred requests, in addition to [`RESERVE`].
    pub(super) fn new(percent: u16) -> Self {
        Self {
            requests: AtomicU32::new(0),
            ratio: f64::from(percent) / 100.0,
            account: Mutex::new(Account {
                balance: RESERVE,
                last: Instant::now(),
            }),
        }
    }

    /// Counts a request. A plain store suffices, because only one worker counts here.
    pub(super) fn count(&self) {
        let requests = self.requests.load(Ordering::Relaxed);
        self.requests
            .store(requests.saturating_add(1), Ordering::Relaxed);
    }

    /// Takes one retry from the budget. Returns `false` if the budget is used up.
    pub(super) fn take(&self, now: Instant) -> bool {
        let requests = f64::from(self.requests.swap(0, Ordering::Relaxed));
        let mut account = self.account.lock();
        let passed = now.duration_since(account.last);
        account.last = now;
        // After a long time, only the part within `MEMORY` counts. Requests are taken to be spread evenly over the
        // time.
        let seen = passed.min(MEMORY).as_secs_f64();
        let part = if passed > MEMORY {
            seen / passed.as_secs_f64()
        } else {
            1.0
        };
        let earned = requests * part * self.ratio + seen * RESERVE;
        // The rest from earlier calls can raise the balance up to `most`, and no further.
        let most = earned.max(MEMORY.as_secs_f64() * RESERVE);
        account.balance = (account.balance + earned).min(most.max(account.balance));
        if account.balance < 1.0 {
            return false;
        }
        account.balance -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &RetryBudget, now: Instant) -> usize {
        (0..100_000).take_while(|_| budget.take(now)).count()
    }

    #[test]
    fn the_budget_is_a_fifth_of_the_requests_plus_ten_per_second() {
        let budget = RetryBudget::new(20);
        let start = Instant::now();
        assert_eq!(taken(&budget, start), 10);
        let later = start + Duration::from_secs(1);
        assert_eq!(taken(&budget, later), 10);
        for _ in 0..1000 {
            budget.count();
        }
        assert_eq!(taken(&budget, later), 200);
    }

    #[test]
    fn unused_budget_expires() {
        let budget = RetryBudget::new(20);
        for _ in 0..360_000 {
            budget.count();
        }
        let later = Instant::now() + Duration::from_secs(3600);
        let taken = taken(&budget, later);
        assert!((295..=310).contains(&taken), "{taken}");
    }

    #[test]
    fn retries_stay_within_the_budget_during_a_long_outage() {
        let budget = RetryBudget::new(20);
        let start = Instant::now();
        let mut retries = 0;
        for millis in 0..60_000 {
            budget.count();
            let now = start + Duration::from_millis(millis);
            retries += usize::from(budget.take(now));
        }
        // 60 s with 1000 requests per second: 12,000 retries, and 600 from the reserve.
        assert!((12_500..=12_620).contains(&retries), "{retries}");
    }
}
