//! Retries: which requests may be sent twice, and how often, so that retries never multiply an outage.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Request;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::upstream::body::RequestBody;

/// Number of retries per second that are allowed whatever the number of requests.
const RESERVE: f64 = 10.0;
/// Time for which an unused part of the budget is kept.
const MEMORY: Duration = Duration::from_secs(10);

/// Budget of the retries of one upstream and worker. To count a request is one plain store; all else is computed when a retry
/// is wanted.
#[derive(Debug)]
pub(super) struct RetryBudget {
    /// Number of requests since the last retry was wanted.
    requests: AtomicU32,
    ratio: f64,
    account: Mutex<Account>,
}

#[derive(Debug)]
struct Account {
    balance: f64,
    last: Instant,
}

impl RetryBudget {
    /// Allows retries for `percent` of the requests, in addition to the reserve.
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

    /// Counts a request. A plain store, as only its own worker counts here.
    pub(super) fn count(&self) {
        let requests = self.requests.load(Ordering::Relaxed);
        self.requests
            .store(requests.saturating_add(1), Ordering::Relaxed);
    }

    /// Takes one retry from the budget; `false` if it is used up.
    pub(super) fn take(&self, now: Instant) -> bool {
        let requests = f64::from(self.requests.swap(0, Ordering::Relaxed));
        let mut account = self.account.lock();
        let passed = now.duration_since(account.last);
        account.last = now;
        // Only the last part of a long time counts, with its part of the requests.
        let seen = passed.min(MEMORY).as_secs_f64();
        let part = if passed > MEMORY {
            seen / passed.as_secs_f64()
        } else {
            1.0
        };
        let earned = requests * part * self.ratio + seen * RESERVE;
        let most = earned.max(MEMORY.as_secs_f64() * RESERVE);
        account.balance = (account.balance + earned).min(most.max(account.balance));
        if account.balance < 1.0 {
            return false;
        }
        account.balance -= 1.0;
        true
    }
}

/// Copies a request if it may be sent twice: it has no body and an idempotent method (RFC 9110 section 9.2.2).
pub(super) fn repeatable_copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.body().is_empty() || !request.method().is_idempotent() {
        return None;
    }
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn request(method: Method) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::empty());
        *request.method_mut() = method;
        request
    }

    #[test]
    fn only_idempotent_methods_are_kept_for_a_replay() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert!(
                repeatable_copy(&request(method.clone())).is_some(),
                "{method}"
            );
        }
        for method in ["POST", "PATCH", "CONNECT", "PROPFIND", "get"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert!(
                repeatable_copy(&request(method.clone())).is_none(),
                "{method}"
            );
        }
    }

    fn taken(budget: &RetryBudget, now: Instant) -> usize {
        (0..100_000).take_while(|_| budget.take(now)).count()
    }

    #[test]
    fn a_fifth_of_the_requests_may_be_sent_again_beside_ten_a_second() {
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
    fn what_was_not_used_is_forgotten() {
        let budget = RetryBudget::new(20);
        for _ in 0..360_000 {
            budget.count();
        }
        let later = Instant::now() + Duration::from_secs(3600);
        let taken = taken(&budget, later);
        assert!((295..=310).contains(&taken), "{taken}");
    }

    #[test]
    fn a_steady_outage_never_gets_more_than_its_part() {
        let budget = RetryBudget::new(20);
        let start = Instant::now();
        let mut retries = 0;
        for millis in 0..60_000 {
            budget.count();
            let now = start + Duration::from_millis(millis);
            retries += usize::from(budget.take(now));
        }
        // 60 s of 1000 requests a second: 12,000 and 600 of the reserve.
        assert!((12_500..=12_620).contains(&retries), "{retries}");
    }
}
