//! The ledgers of all budgets in storage.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Mutex;
use tracing::error;

use super::held::Held;
use super::ledger::Ledger;
use super::limits::Limit;
use super::payment_error::PaymentError;
use super::purchase::{Charge, OrderKind, Purchase};
use super::scope::Scope;
use crate::storage::{self, Key, Storage};

pub(super) const FAILURES: &str = "failed authorizations";

/// Ledgers in storage. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Books {
    storage: Arc<dyn Storage>,
    /// Queue for the tasks of this process, so that they do not compete for the storage lock.
    queue: Arc<Mutex<()>>,
}

/// Ledger of one scope, loaded for one order.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) scope: Scope,
    pub(super) ledger: Ledger,
    what: &'static str,
    /// Limit that this order is charged against; `None` if it does not count here.
    limit: Option<Limit>,
    stored: Ledger,
}

impl Books {
    /// Opens the ledgers in `storage`.
    pub(super) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            queue: Arc::default(),
        }
    }

    /// Adds the counts of the account `old` to those of `new`: both are the same account, whose e-mail address has changed.
    pub(super) async fn rename_account(
        &self,
        issuer: &str,
        old: &str,
        new: &str,
    ) -> Result<(), storage::Error> {
        let _turn = self.queue.lock().await;
        let _lock = self.storage.lock(&folder(issuer)).await?;
        let old = Scope::Account.key(issuer, old);
        let Some(spent) = self.read(&old).await? else {
            return Ok(());
        };
        let key = Scope::Account.key(issuer, new);
        let mut ledger = self.read(&key).await?.unwrap_or_default();
        ledger.merge(spent);
        self.write(&key, &ledger).await?;
        self.storage.delete(&old).await
    }

    /// Returns the reason that would hold back an order at `now`. Spends nothing.
    pub(super) async fn find_held(
        &self,
        purchase: &Purchase<'_>,
        now: SystemTime,
    ) -> Result<Option<Held>, storage::Error> {
        let books = self.open(purchase, Charge::First, now).await?;
        Ok(held(&books, purchase.issuer))
    }

    /// Charges one order, or returns the reason that holds it back.
    pub(super) async fn pay(
        &self,
        purchase: &Purchase<'_>,
        charge: Charge,
        now: SystemTime,
    ) -> Result<(), PaymentError> {
        let _turn = self.queue.lock().await;
        let _lock = self.storage.lock(&folder(purchase.issuer)).await?;
        let mut books = self.open(purchase, charge, now).await?;
        let held = held(&books, purchase.issuer);
        if held.is_none() {
            for book in books.iter_mut().filter(|book| book.limit.is_some()) {
                book.ledger.spend(now);
            }
        }
        self.close(purchase, books).await?;
        held.map_or(Ok(()), |held| Err(held.into()))
    }

    /// Changes the ledgers that an order was charged to. A storage failure is only logged.
    pub(super) async fn correct(
        &self,
        purchase: &Purchase<'_>,
        now: SystemTime,
        change: impl FnOnce(&mut [Book]),
    ) {
        let corrected = async {
            let _turn = self.queue.lock().await;
            let _lock = self.storage.lock(&folder(purchase.issuer)).await?;
            let mut books = self.open(purchase, Charge::First, now).await?;
            change(&mut books);
            self.close(purchase, books).await
        };
        if let Err(reason) = corrected.await {
            error!(names = %purchase.subject, error = %reason, "budgets cannot be stored");
        }
    }

    /// Loads the ledgers that an order may be charged to. The certificate is charged with the first order of an attempt.
    async fn open(
        &self,
        purchase: &Purchase<'_>,
        charge: Charge,
        now: SystemTime,
    ) -> Result<Vec<Book>, storage::Error> {
        let Purchase {
            limits, subject, ..
        } = purchase;
        let is_new = charge == Charge::First && purchase.kind == OrderKind::First;
        let certificates = limits.certificates.filter(|_| is_new);
        let is_order = purchase.kind != OrderKind::Replacement;
        let failures = limits.failed_authorizations;
        let failures = failures.filter(|_| charge != Charge::Again);
        let wanted = [
            (Scope::Account, "orders", limits.orders.filter(|_| is_order)),
            (Scope::domain_of(subject), "new certificates", certificates),
            (Scope::name_of(subject), FAILURES, failures),
        ];
        let mut books = Vec::with_capacity(wanted.len());
        for (scope, what, limit) in wanted {
            let stored = self.stored(&scope, purchase).await?;
            let mut ledger = stored.clone();
            // Entries of other orders must be kept, even if this order does not count here.
            let kept = match scope {
                Scope::Account => limits.orders,
                Scope::Domain(_) => limits.certificates,
                Scope::Name(_) => limits.failed_authorizations,
            };
            ledger.tidy(kept, now);
            books.push(Book {
                scope,
                ledger,
                what,
                limit,
                stored,
            });
        }
        Ok(books)
    }

    /// Loads a ledger. Older versions did not count by account, so their orders count for every account.
    async fn stored(
        &self,
        scope: &Scope,
        purchase: &Purchase<'_>,
    ) -> Result<Ledger, storage::Error> {
        let key = scope.key(purchase.issuer, purchase.account);
        if let Some(own) = self.read(&key).await? {
            return Ok(own);
        }
        let legacy = match scope.legacy_key(purchase.issuer) {
            Some(legacy) => self.read(&legacy).await?,
            None => None,
        };
        Ok(legacy.unwrap_or_default())
    }

    /// Reads a ledger. An unreadable one is replaced by an empty one, because certificates matter more than exact counts.
    async fn read(&self, key: &Key) -> Result<Option<Ledger>, storage::Error> {
        let json = self.storage.load(key).await?;
        Ok(json.map(|json| {
            serde_json::from_slice(&json).unwrap_or_else(|reason| {
                let file = self.storage.location(key);
                error!(%file, error = %reason, "budget is damaged; counting starts again from zero");
                Ledger::default()
            })
        }))
    }

    async fn close(&self, purchase: &Purchase<'_>, books: Vec<Book>) -> Result<(), storage::Error> {
        for book in books {
            if book.ledger == book.stored {
                continue;
            }
            let key = book.scope.key(purchase.issuer, purchase.account);
            if !book.ledger.is_empty() {
                self.write(&key, &book.ledger).await?;
                continue;
            }
            let legacy = book.scope.legacy_key(purchase.issuer);
            for key in legacy.iter().chain([&key]) {
                self.storage.delete(key).await?;
            }
        }
        Ok(())
    }

    async fn write(&self, key: &Key, ledger: &Ledger) -> Result<(), storage::Error> {
        let json = serde_json::to_vec(ledger).unwrap_or_default();
        self.storage.store(key, &json).await
    }
}

impl Book {
    /// Whether this order is charged to this ledger.
    pub(super) fn is_counted(&self) -> bool {
        self.limit.is_some()
    }

    fn held(&self, issuer: &str) -> Option<Held> {
        let (issuer, whose) = (issuer.to_owned(), self.scope.whose().to_owned());
        if let Some(closed) = self.ledger.closed() {
            return Some(Held::Closed {
                issuer,
                whose,
                until: closed.until(),
                reason: closed.reason().to_owned(),
            });
        }
        let limit = self.limit?;
        let until = self.ledger.free_at(limit)?;
        Some(Held::Spent {
            what: self.what,
            limit,
            whose,
            issuer,
            until,
        })
    }
}

/// Returns the reason that holds the order back the longest.
fn held(books: &[Book], issuer: &str) -> Option<Held> {
    let held = books.iter().filter_map(|book| book.held(issuer));
    held.max_by_key(Held::until)
}

fn folder(issuer: &str) -> Key {
    Key::new(&["budgets", issuer])
}
