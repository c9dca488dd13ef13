//! Enforcement of the limits: counts each order in storage, or returns the reason that holds it back.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Mutex;
use tracing::error;

use super::chargeable_order::{Charge, ChargeableOrder, OrderKind};
use super::hold_reason::{HoldReason, LimitError};
use super::limits::Limit;
use super::scope::Scope;
use super::sliding_window::SlidingWindow;
use crate::storage::{self, Key, Storage};

pub(super) const FAILURES: &str = "failed authorizations";

/// Counts in storage, and the decision whether an order is within the limits. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct RateLimiter {
    storage: Arc<dyn Storage>,
    /// Queue for the tasks of this process, so that they do not compete for the storage lock.
    queue: Arc<Mutex<()>>,
}

/// Charges of one scope, loaded for one order.
#[derive(Debug)]
pub(super) struct ScopedWindow {
    pub(super) scope: Scope,
    pub(super) charges: SlidingWindow,
    what: &'static str,
    /// Limit that this order is charged against; `None` if it does not count here.
    limit: Option<Limit>,
    stored: SlidingWindow,
}

impl RateLimiter {
    /// Opens the windows in `storage`.
    pub(super) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            queue: Arc::default(),
        }
    }

    pub(super) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Adds the counts of the account `old` to those of `new`: both are the same account, whose e-mail address has changed.
    pub(super) async fn rename_account(
        &self,
        issuer: &str,
        old: &str,
        new: &str,
    ) -> Result<(), storage::Error> {
        let _queued = self.queue.lock().await;
        let _lock = self.storage.lock(&folder(issuer)).await?;
        let old = Scope::Account.key(issuer, old);
        let Some(spent) = self.read(&old).await? else {
            return Ok(());
        };
        let key = Scope::Account.key(issuer, new);
        let mut charges = self.read(&key).await?.unwrap_or_default();
        charges.merge(spent);
        self.write(&key, &charges).await?;
        self.storage.delete(&old).await
    }

    /// Returns the reason that would hold back an order at `now`. Spends nothing.
    pub(super) async fn find_held(
        &self,
        counted_order: &ChargeableOrder<'_>,
        now: SystemTime,
    ) -> Result<Option<HoldReason>, storage::Error> {
        let windows = self.open(counted_order, Charge::First, now).await?;
        Ok(held(&windows, counted_order.issuer))
    }

    /// Charges one order, or returns the reason that holds it back.
    pub(super) async fn charge_order(
        &self,
        counted_order: &ChargeableOrder<'_>,
        charge: Charge,
        now: SystemTime,
    ) -> Result<(), LimitError> {
        let _queued = self.queue.lock().await;
        let _lock = self.storage.lock(&folder(counted_order.issuer)).await?;
        let mut windows = self.open(counted_order, charge, now).await?;
        let held = held(&windows, counted_order.issuer);
        if held.is_none() {
            for window in windows.iter_mut().filter(|window| window.limit.is_some()) {
                window.charges.spend(now);
            }
        }
        self.close(counted_order, windows).await?;
        held.map_or(Ok(()), |held| Err(held.into()))
    }

    /// Changes the windows that an order was charged to. A storage failure is only logged.
    pub(super) async fn correct(
        &self,
        counted_order: &ChargeableOrder<'_>,
        now: SystemTime,
        change: impl FnOnce(&mut [ScopedWindow]),
    ) {
        let corrected = async {
            let _queued = self.queue.lock().await;
            let _lock = self.storage.lock(&folder(counted_order.issuer)).await?;
            let mut windows = self.open(counted_order, Charge::First, now).await?;
            change(&mut windows);
            self.close(counted_order, windows).await
        };
        if let Err(reason) = corrected.await {
            error!(names = %counted_order.subject, error = %reason, "budgets cannot be stored");
        }
    }

    /// Loads the windows that an order may be charged to. The certificate is charged with the first order of an attempt.
    async fn open(
        &self,
        counted_order: &ChargeableOrder<'_>,
        charge: Charge,
        now: SystemTime,
    ) -> Result<Vec<ScopedWindow>, storage::Error> {
        let ChargeableOrder {
            limits, subject, ..
        } = counted_order;
        let is_new = charge == Charge::First && counted_order.kind == OrderKind::First;
        let certificates = limits.certificates.filter(|_| is_new);
        let is_order = counted_order.kind != OrderKind::Replacement;
        let failures = limits.failed_authorizations;
        let failures = failures.filter(|_| charge != Charge::Again);
        let wanted = [
            (Scope::Account, "orders", limits.orders.filter(|_| is_order)),
            (Scope::domain_of(subject), "new certificates", certificates),
            (Scope::name_of(subject), FAILURES, failures),
        ];
        let mut windows = Vec::with_capacity(wanted.len());
        for (scope, what, limit) in wanted {
            let (issuer, account) = (counted_order.issuer, counted_order.account);
            let stored = self.stored(&scope, issuer, account).await?;
            let mut charges = stored.clone();
            // Entries of other orders must be kept, even if this order does not count here.
            let kept = match scope {
                Scope::Account => limits.orders,
                Scope::Domain(_) => limits.certificates,
                Scope::Name(_) => limits.failed_authorizations,
            };
            charges.tidy(kept, now);
            windows.push(ScopedWindow {
                scope,
                charges,
                what,
                limit,
                stored,
            });
        }
        Ok(windows)
    }

    /// Loads a charges. Older versions did not count by account, so their orders count for every account.
    pub(super) async fn stored(
        &self,
        scope: &Scope,
        issuer: &str,
        account: &str,
    ) -> Result<SlidingWindow, storage::Error> {
        let key = scope.key(issuer, account);
        if let Some(own) = self.read(&key).await? {
            return Ok(own);
        }
        let legacy = match scope.legacy_key(issuer) {
            Some(legacy) => self.read(&legacy).await?,
            None => None,
        };
        Ok(legacy.unwrap_or_default())
    }

    /// Reads a charges. An unreadable one is replaced by an empty one, because certificates matter more than exact counts.
    pub(super) async fn read(&self, key: &Key) -> Result<Option<SlidingWindow>, storage::Error> {
        let json = self.storage.load(key).await?;
        Ok(json.map(|json| {
            serde_json::from_slice(&json).unwrap_or_else(|reason| {
                let file = self.storage.location(key);
                error!(%file, error = %reason, "budget is damaged; counting starts again from zero");
                SlidingWindow::default()
            })
        }))
    }

    async fn close(
        &self,
        counted_order: &ChargeableOrder<'_>,
        windows: Vec<ScopedWindow>,
    ) -> Result<(), storage::Error> {
        for window in windows {
            if window.charges == window.stored {
                continue;
            }
            let key = window
                .scope
                .key(counted_order.issuer, counted_order.account);
            if !window.charges.is_empty() {
                self.write(&key, &window.charges).await?;
                continue;
            }
            let legacy = window.scope.legacy_key(counted_order.issuer);
            for key in legacy.iter().chain([&key]) {
                self.storage.delete(key).await?;
            }
        }
        Ok(())
    }

    async fn write(&self, key: &Key, charges: &SlidingWindow) -> Result<(), storage::Error> {
        let json = serde_json::to_vec(charges).unwrap_or_default();
        self.storage.store(key, &json).await
    }
}

impl ScopedWindow {
    /// Whether this order is charged to this charges.
    pub(super) fn is_counted(&self) -> bool {
        self.limit.is_some()
    }

    fn held(&self, issuer: &str) -> Option<HoldReason> {
        let (issuer, whose) = (issuer.to_owned(), self.scope.whose().to_owned());
        if let Some(closed) = self.charges.closed() {
            return Some(HoldReason::Closed {
                issuer,
                whose,
                until: closed.until(),
                reason: closed.reason().to_owned(),
            });
        }
        let limit = self.limit?;
        let until = self.charges.free_at(limit)?;
        Some(HoldReason::Spent {
            what: self.what,
            limit,
            whose,
            issuer,
            until,
        })
    }
}

/// Returns the reason that holds the order back the longest.
fn held(windows: &[ScopedWindow], issuer: &str) -> Option<HoldReason> {
    let held = windows.iter().filter_map(|window| window.held(issuer));
    held.max_by_key(HoldReason::until)
}

fn folder(issuer: &str) -> Key {
    Key::new(&["budgets", issuer])
}
