//! What one attempt to get a certificate has paid for, and what it really used.

use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::books::{Book, Books};
use super::limits::Limits;
use super::payment_error::PaymentError;
use super::purchase::{Charge, OrderKind, Purchase};
use super::scope::Scope;
use super::usage::{Reach, RetryLater, Usage};
use crate::name::HostPattern;

/// How long one answer of a CA can keep all names of an account or a domain waiting: a slip of its
/// clock must not let certificates lapse.
const LONGEST_CLOSURE: Duration = Duration::from_secs(24 * 3600);

/// The purse of one attempt: its first order is paid for. Dropped without
/// [`settle`](Self::settle), as by a kill, all that was paid stays spent.
#[derive(Debug)]
pub struct Spending(Option<Account>);

#[derive(Debug)]
struct Account {
    books: Books,
    issuer: String,
    account: String,
    limits: Limits,
    subject: HostPattern,
    kind: OrderKind,
    used: Mutex<Used>,
}

#[derive(Clone, Debug)]
struct Used {
    /// When each order was paid for, and with it one failed authorization.
    paid: Vec<SystemTime>,
    orders: usize,
    /// Whether the CA has refused an order for what it replaces, which counts there as an order.
    is_refused: bool,
    failed_authorizations: u32,
}

impl Spending {
    /// A purse that never empties.
    #[must_use]
    pub fn free() -> Self {
        Self(None)
    }

    pub(super) fn new(books: Books, purchase: &Purchase<'_>, paid: SystemTime) -> Self {
        Self(Some(Account {
            books,
            issuer: purchase.issuer.to_owned(),
            account: purchase.account.to_owned(),
            limits: purchase.limits,
            subject: purchase.subject.clone(),
            kind: purchase.kind,
            used: Mutex::new(Used {
                paid: vec![paid],
                orders: 0,
                is_refused: false,
                failed_authorizations: 0,
            }),
        }))
    }

    /// Pays for the next order of the attempt, to be called before each: the first one is paid for.
    pub async fn order(&self, now: SystemTime) -> Result<(), PaymentError> {
        let Some(account) = &self.0 else {
            return Ok(());
        };
        let is_paid = account.with(|used| {
            used.orders += 1;
            used.orders <= used.paid.len()
        });
        if is_paid {
            return Ok(());
        }
        let purchase = account.purchase();
        account.books.pay(&purchase, Charge::Further, now).await?;
        account.with(|used| used.paid.push(now));
        Ok(())
    }

    /// Pays for the order that takes the place of the last one, which the CA has refused for what it replaces: from now on
    /// the attempt counts as any renewal does. What may fail in it was paid for before.
    pub async fn order_without_predecessor(&self, now: SystemTime) -> Result<(), PaymentError> {
        let Some(account) = &self.0 else {
            return Ok(());
        };
        account.with(|used| used.is_refused = true);
        let purchase = account.purchase();
        account.books.pay(&purchase, Charge::Again, now).await
    }

    /// Counts authorizations that the CA has found wanting. Those that the attempt's last error
    /// tells of need not be counted.
    pub fn spend_failed_authorization(&self, count: u32) {
        if let Some(account) = &self.0 {
            account.with(|used| used.failed_authorizations += count);
        }
    }

    /// Takes back what was not used, counts what was, and heeds a CA that asks to be left alone.
    pub async fn settle(self, usage: Usage, now: SystemTime) {
        let Some(account) = self.0 else { return };
        let used = account.with(|used| used.clone());
        let reach = match used.orders {
            // An order that was left is gone on with, and was paid for when it was placed.
            0 => Reach::Nothing,
            1 if !used.is_refused => usage.reach,
            _ => usage.reach.max(Reach::Order),
        };
        let failed = used.failed_authorizations.max(usage.failed_authorizations);
        let retry_later = usage.retry_later.as_ref();
        let closed = retry_later.and_then(|answer| closed_scope(answer, &account.subject));
        let change = |books: &mut [Book]| {
            for book in books {
                let unused = match &book.scope {
                    _ if !book.is_counted() => &[],
                    Scope::Account if reach > Reach::Nothing => &[],
                    Scope::Domain(_) if reach == Reach::Certificate => &[],
                    Scope::Domain(_) => &used.paid[..1],
                    Scope::Account | Scope::Name(_) => &used.paid[..],
                };
                unused.iter().for_each(|at| book.ledger.refund(*at));
                if matches!(book.scope, Scope::Name(_)) && book.is_counted() {
                    (0..failed).for_each(|_| book.ledger.spend(now));
                }
                if let Some(answer) = retry_later
                    && closed.as_ref() == Some(&book.scope)
                {
                    let wait = answer.wait.min(LONGEST_CLOSURE);
                    book.ledger.close(now, wait, &answer.reason);
                }
            }
        };
        let purchase = account.purchase();
        account.books.correct(&purchase, now, change).await;
    }
}

impl Account {
    fn purchase(&self) -> Purchase<'_> {
        Purchase {
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

/// The budget that the CA closes with its answer. A name's own back-off heeds the CA anyway.
fn closed_scope(answer: &RetryLater, subject: &HostPattern) -> Option<Scope> {
    let scope = match answer.status {
        503 => Scope::Account,
        429 => Scope::of_refusal(subject, &answer.detail),
        _ => return None,
    };
    (!matches!(scope, Scope::Name(_))).then_some(scope)
}
