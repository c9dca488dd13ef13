//! The charges of one attempt, and their correction at its end.

use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::chargeable_order::{Charge, ChargeableOrder, OrderKind, Reach, RetryLater, Usage};
use super::hold_reason::LimitError;
use super::limits::Limits;
use super::rate_limiter::{RateLimiter, ScopedWindow};
use super::scope::Scope;
use crate::name::HostPattern;

/// Longest pause that one answer of a CA can impose on an account or a domain. A mistake of the CA must not let
/// certificates expire.
const LONGEST_CLOSURE: Duration = Duration::from_secs(24 * 3600);

/// Charges of one attempt, whose first order is already charged. Call [`order`](Self::order) before each order and
/// [`settle`](Self::settle) at the end. Without `settle`, for example after a kill, all charges stay.
#[derive(Debug)]
pub struct AttemptCharges(Option<Account>);

#[derive(Debug)]
struct Account {
    windows: RateLimiter,
    issuer: String,
    account: String,
    limits: Limits,
    subject: HostPattern,
    kind: OrderKind,
    used: Mutex<Used>,
}

#[derive(Clone, Debug)]
struct Used {
    /// Times at which the orders were charged, each with one failed authorization.
    charged: Vec<SystemTime>,
    orders: usize,
    /// Whether the CA has refused an order because of its predecessor. Such an order counts at the CA.
    is_refused: bool,
    failed_authorizations: u32,
}

impl AttemptCharges {
    /// Creates a value without limits, which charges nothing.
    #[must_use]
    pub fn free() -> Self {
        Self(None)
    }

    pub(super) fn new(
        windows: RateLimiter,
        counted_order: &ChargeableOrder<'_>,
        charged: SystemTime,
    ) -> Self {
        Self(Some(Account {
            windows,
            issuer: counted_order.issuer.to_owned(),
            account: counted_order.account.to_owned(),
            limits: counted_order.limits,
            subject: counted_order.subject.clone(),
            kind: counted_order.kind,
            used: Mutex::new(Used {
                charged: vec![charged],
                orders: 0,
                is_refused: false,
                failed_authorizations: 0,
            }),
        }))
    }

    /// Charges the next order. Call this before each order; the first one is already charged.
    pub async fn order(&self, now: SystemTime) -> Result<(), LimitError> {
        let Some(account) = &self.0 else {
            return Ok(());
        };
        let is_charged = account.with(|used| {
            used.orders += 1;
            used.orders <= used.charged.len()
        });
        if is_charged {
            return Ok(());
        }
        let counted_order = account.counted_order();
        account
            .windows
            .charge_order(&counted_order, Charge::Further, now)
            .await?;
        account.with(|used| used.charged.push(now));
        Ok(())
    }

    /// Charges the repetition of an order that the CA has refused because of its predecessor. From now on the attempt
    /// counts as a renewal. Its possible failure was already charged.
    pub async fn order_without_predecessor(&self, now: SystemTime) -> Result<(), LimitError> {
        let Some(account) = &self.0 else {
            return Ok(());
        };
        account.with(|used| used.is_refused = true);
        let counted_order = account.counted_order();
        account
            .windows
            .charge_order(&counted_order, Charge::Again, now)
            .await
    }

    /// Counts failed authorizations before the end of the attempt. Those in its final error need not be counted.
    pub fn spend_failed_authorization(&self, count: u32) {
        if let Some(account) = &self.0 {
            account.with(|used| used.failed_authorizations += count);
        }
    }

    /// Corrects the charges at the end of the attempt: refunds what was not used, adds failed authorizations, and stores a
    /// pause that the CA has asked for.
    pub async fn settle(self, usage: Usage, now: SystemTime) {
        let Some(account) = self.0 else { return };
        let used = account.with(|used| used.clone());
        let reach = match used.orders {
            // A resumed order was charged when it was placed.
            0 => Reach::Nothing,
            1 if !used.is_refused => usage.reach,
            _ => usage.reach.max(Reach::Order),
        };
        let failed = used.failed_authorizations.max(usage.failed_authorizations);
        let retry_later = usage.retry_later.as_ref();
        let closed = retry_later.and_then(|answer| closed_scope(answer, &account.subject));
        let change = |windows: &mut [ScopedWindow]| {
            for window in windows {
                let unused = match &window.scope {
                    _ if !window.is_counted() => &[],
                    Scope::Account if reach > Reach::Nothing => &[],
                    Scope::Domain(_) if reach == Reach::Certificate => &[],
                    Scope::Domain(_) => &used.charged[..1],
                    Scope::Account | Scope::Name(_) => &used.charged[..],
                };
                unused.iter().for_each(|at| window.charges.refund(*at));
                if matches!(window.scope, Scope::Name(_)) && window.is_counted() {
                    (0..failed).for_each(|_| window.charges.spend(now));
                }
                if let Some(answer) = retry_later
                    && closed.as_ref() == Some(&window.scope)
                {
                    let wait = answer.wait.min(LONGEST_CLOSURE);
                    window.charges.close(now, wait, &answer.reason);
                }
            }
        };
        let counted_order = account.counted_order();
        account.windows.correct(&counted_order, now, change).await;
    }
}

impl Account {
    fn counted_order(&self) -> ChargeableOrder<'_> {
        ChargeableOrder {
            issuer: &self.issuer,
            account: &self.account,
            limits: self.limits,
            subject: &self.subject,
            kind: match self.kind {
                OrderKind::Replacement if self.with(|used| used.is_refused) => OrderKind::Renewal,
                kind => kind,
            },
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Used) -> T) -> T {
        work(&mut self.used.lock())
    }
}

/// Returns the scope that must pause after an answer of the CA. A single name needs no entry, because its backoff respects
/// the answer.
fn closed_scope(answer: &RetryLater, subject: &HostPattern) -> Option<Scope> {
    let scope = match answer.status {
        503 => Scope::Account,
        429 => Scope::of_refusal(subject, &answer.detail),
        _ => return None,
    };
    (!matches!(scope, Scope::Name(_))).then_some(scope)
}
