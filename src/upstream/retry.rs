//! What may be sent twice, and how often: retries must never multiply an outage.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use tokio::time::Instant;

use super::body::RequestBody;

/// How many retries a second are allowed whatever the number of requests.
const RESERVE: f64 = 10.0;
/// How long what was not used stays allowed.
const MEMORY: Duration = Duration::from_secs(10);

/// How many requests of one upstream and runtime may be sent again. Counting a request writes to no memory that another
/// runtime writes to; the rest is reckoned when a retry is wanted.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct RetryBudget {
    /// Since the last look.
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
    /// Allows so many retries for a hundred requests, beside the reserve.
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

    /// Counts a request. A plain store, as only its own runtime counts here.
    pub(super) fn count(&self) {
        let requests = self.requests.load(Ordering::Relaxed);
        self.requests
            .store(requests.saturating_add(1), Ordering::Relaxed);
    }

    /// Takes one retry, if there is one.
    pub(super) fn take(&self, now: Instant) -> bool {
        let requests = f64::from(self.requests.swap(0, Ordering::Relaxed));
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.duration_since(account.last);
        account.last = now;
        // Of a long time only the last part counts, and of its requests as many.
        let seen = passed.min(MEMORY).as_secs_f64();
        let part = match passed > MEMORY {
            true => seen / passed.as_secs_f64(),
            false => 1.0,
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

/// A copy of a request that may be sent twice: without a body, and of a method for which twice is as good as once
/// (RFC 9110 section 9.2.2).
pub(super) fn replica(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
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
            assert!(replica(&request(method.clone())).is_some(), "{method}");
        }
        for method in ["POST", "PATCH", "CONNECT", "PROPFIND", "get"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert!(replica(&request(method.clone())).is_none(), "{method}");
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
