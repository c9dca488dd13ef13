//! The account books of all budgets, in storage.

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

/// The account books in storage. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Books {
    storage: Arc<dyn Storage>,
    /// Those of one process queue here, not at the storage's lock.
    turn: Arc<Mutex<()>>,
}

/// One account book that is open.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) scope: Scope,
    pub(super) ledger: Ledger,
    what: &'static str,
    limit: Option<Limit>,
    stored: Ledger,
}

impl Books {
    /// The books in `storage`.
    pub(super) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            turn: Arc::default(),
        }
    }

    /// What the account of one e-mail address has spent at a CA counts for that of another one: it is the same account, whose
    /// address has changed.
    pub(super) async fn rename_account(
        &self,
        issuer: &str,
        former: &str,
        account: &str,
    ) -> Result<(), storage::Error> {
        let _turn = self.turn.lock().await;
        let _lock = self.storage.lock(&folder(issuer)).await?;
        let former = Scope::Account.key(issuer, former);
        let Some(spent) = self.read(&former).await? else {
            return Ok(());
        };
        let key = Scope::Account.key(issuer, account);
        let mut ledger = self.read(&key).await?.unwrap_or_default();
        ledger.absorb(spent);
        self.write(&key, &ledger).await?;
        self.storage.delete(&former).await
    }

    /// What would hold back an order at `now`. Spends nothing.
    pub(super) async fn find_held(
        &self,
        purchase: &Purchase<'_>,
        now: SystemTime,
    ) -> Result<Option<Held>, storage::Error> {
        let books = self.open(purchase, Charge::First, now).await?;
        Ok(held(&books, purchase.issuer))
    }

    /// Pays for one order, or says what holds it back.
    pub(super) async fn pay(
        &self,
        purchase: &Purchase<'_>,
        charge: Charge,
        now: SystemTime,
    ) -> Result<(), PaymentError> {
        let _turn = self.turn.lock().await;
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

    /// Changes books that were paid from.
    pub(super) async fn correct(
        &self,
        purchase: &Purchase<'_>,
        now: SystemTime,
        change: impl FnOnce(&mut [Book]),
    ) {
        let corrected = async {
            let _turn = self.turn.lock().await;
            let _lock = self.storage.lock(&folder(purchase.issuer)).await?;
            let mut books = self.open(purchase, Charge::First, now).await?;
            change(&mut books);
            self.close(purchase, books).await
        };
        if let Err(reason) = corrected.await {
            error!(names = %purchase.subject, error = %reason, "budgets cannot be written");
        }
    }

    /// The books that an order touches. The certificate is paid for with the first order.
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
            // Other orders count by the limit, whether or not this one does.
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

    /// What is in a book. Whose orders those are that older versions counted nobody knows, so they count for every account.
    async fn stored(
        &self,
        scope: &Scope,
        purchase: &Purchase<'_>,
    ) -> Result<Ledger, storage::Error> {
        let key = scope.key(purchase.issuer, purchase.account);
        if let Some(own) = self.read(&key).await? {
            return Ok(own);
        }
        let former = match scope.former_key(purchase.issuer) {
            Some(former) => self.read(&former).await?,
            None => None,
        };
        Ok(former.unwrap_or_default())
    }

    /// A book that cannot be read is begun anew: it is worth less than the certificate.
    async fn read(&self, key: &Key) -> Result<Option<Ledger>, storage::Error> {
        let json = self.storage.load(key).await?;
        Ok(json.map(|json| {
            serde_json::from_slice(&json).unwrap_or_else(|reason| {
                let file = self.storage.location(key);
                error!(%file, error = %reason, "budget is damaged and begins anew");
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
            let former = book.scope.former_key(purchase.issuer);
            for key in former.iter().chain([&key]) {
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
    /// Whether an order of this kind is paid for from this book.
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

/// What holds the order back the longest.
fn held(books: &[Book], issuer: &str) -> Option<Held> {
    let held = books.iter().filter_map(|book| book.held(issuer));
    held.max_by_key(Held::until)
}

fn folder(issuer: &str) -> Key {
    Key::new(&["budgets", issuer])
}
