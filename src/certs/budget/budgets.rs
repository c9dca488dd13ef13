//! The budgets at all CAs, in storage: what is spent is written before the order that spends it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tracing::error;

use super::held::Held;
use super::ledger::Ledger;
use super::limits::{Limit, Limits};
use super::scope::Scope;
use super::spending::Spending;
use crate::name::HostPattern;
use crate::storage::{self, Key, Storage};

const FAILURES: &str = "failed authorizations";

/// What is about to be ordered, and where.
#[derive(Clone, Copy, Debug)]
pub struct Purchase<'a> {
    /// The CA's id.
    pub issuer: &'a str,
    /// Which of the accounts at the CA pays.
    pub account: &'a str,
    /// Its budgets.
    pub limits: Limits,
    /// The name.
    pub subject: &'a HostPattern,
    /// How the CA counts it.
    pub kind: OrderKind,
}

/// How a CA counts an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// As an order and as a new certificate of its domain.
    First,
    /// As an order: the CA has signed for the same names before.
    Renewal,
    /// As neither: it tells the CA which certificate it replaces (RFC 9773 section 5).
    Replacement,
}

/// Which request for an order is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// The first of an attempt, and with it the certificate.
    First,
    /// One for another challenge after one that failed.
    Further,
    /// One in the place of one that was refused.
    Again,
}

/// Keeps the account books. Clones share them.
#[derive(Clone, Debug)]
pub struct Budgets {
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

impl Budgets {
    /// The books in `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            turn: Arc::default(),
        }
    }

    /// Pays for one order, or says what holds it back.
    pub async fn pay(
        &self,
        purchase: Purchase<'_>,
        now: SystemTime,
    ) -> Result<Result<Spending, Held>, storage::Error> {
        if purchase.limits == Limits::NONE {
            return Ok(Ok(Spending::free()));
        }
        let paid = self.pay_once(&purchase, Charge::First, now).await?;
        Ok(paid.map(|()| Spending::new(self.clone(), &purchase, now)))
    }

    /// What would hold back an order at `now`. Spends nothing.
    pub async fn find_held(
        &self,
        purchase: Purchase<'_>,
        now: SystemTime,
    ) -> Result<Option<Held>, storage::Error> {
        if purchase.limits == Limits::NONE {
            return Ok(None);
        }
        let books = self.open(&purchase, Charge::First, now).await?;
        Ok(held(&books, purchase.issuer))
    }

    /// What the account of one e-mail address has spent at a CA counts for that of another one: it is the same account, whose
    /// address has changed.
    pub(in crate::certs) async fn rename_account(
        &self,
        issuer: &str,
        [former, account]: [&str; 2],
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

    pub(super) async fn pay_once(
        &self,
        purchase: &Purchase<'_>,
        charge: Charge,
        now: SystemTime,
    ) -> Result<Result<(), Held>, storage::Error> {
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
        Ok(held.map_or(Ok(()), Err))
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

/// How far apart those wake who wait for one budget: all at once would only find it spent again.
pub(in crate::certs) fn spread(held: &Held) -> Duration {
    const LONGEST: Duration = Duration::from_secs(1800);
    let most = match held {
        Held::Spent { what: FAILURES, .. } => Duration::ZERO,
        Held::Spent { limit, .. } => limit.window / 12,
        Held::Closed { .. } => Duration::from_secs(60),
    };
    most.min(LONGEST).mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::{self, Step};
    use crate::certs::clock::unix;
    use crate::certs::issuer::Error;
    use crate::storage::FileStorage;

    const HOUR: Duration = Duration::from_secs(3600);

    struct World {
        dir: tempfile::TempDir,
        now: SystemTime,
    }

    impl World {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
                now: SystemTime::UNIX_EPOCH + 1_000_000 * HOUR,
            }
        }

        /// A process that has just started on this world's data directory.
        fn budgets(&self) -> Budgets {
            Budgets::new(Arc::new(FileStorage::open(self.dir.path()).unwrap()))
        }

        async fn pay(&self, subject: &str, limits: Limits) -> Result<Spending, Held> {
            let subject = HostPattern::parse(subject).unwrap();
            let purchase = purchase(&subject, limits);
            self.budgets().pay(purchase, self.now).await.unwrap()
        }

        async fn fails(&self, subject: &str, failure: &Error) {
            let spending = self.pay(subject, Limits::PUBLIC).await.unwrap();
            spending.order(self.now).await.unwrap();
            spending.settle(Some(failure), self.now).await;
        }

        async fn succeeds(&self, subject: &str) -> Result<(), Held> {
            let spending = self.pay(subject, Limits::PUBLIC).await?;
            spending.order(self.now).await.unwrap();
            spending.settle(None, self.now).await;
            Ok(())
        }
    }

    fn purchase(subject: &HostPattern, limits: Limits) -> Purchase<'_> {
        Purchase {
            issuer: "ca",
            account: "ops",
            limits,
            subject,
            kind: OrderKind::First,
        }
    }

    fn unproved() -> Error {
        Error::Acme(acme::Error::Authorization {
            identifier: acme::Identifier::Dns("www.example.org".to_owned()),
            challenge: acme::ChallengeType::Http01,
            problem: None,
            alternatives: Vec::new(),
        })
    }

    fn answer(status: u16, wait: Duration) -> Error {
        let problem = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"busy"}"#;
        Error::Acme(acme::Error::Refused {
            step: Step::NewOrder,
            status: http::StatusCode::from_u16(status).unwrap(),
            problem: serde_json::from_str(problem).unwrap(),
            retry_after: Some(wait),
        })
    }

    #[tokio::test]
    async fn a_name_that_fails_for_hours_never_fails_more_than_four_times_an_hour() {
        let mut world = World::new();
        let mut failed = Vec::new();
        for _ in 0..300 {
            let spending = world.pay("www.example.org", Limits::PRIVATE).await;
            if let Ok(spending) = spending {
                spending.order(world.now).await.unwrap();
                spending.settle(Some(&unproved()), world.now).await;
                failed.push(world.now);
            }
            world.now += Duration::from_secs(61);
        }
        assert!(failed.len() > 16, "{}", failed.len());
        let within = |five: &[SystemTime]| five[4].duration_since(five[0]).unwrap() >= HOUR;
        assert!(failed.windows(5).all(within));
    }

    #[tokio::test]
    async fn the_forty_first_certificate_of_a_domain_waits_and_says_until_when() {
        let mut world = World::new();
        for n in 0..40 {
            world.succeeds(&format!("n{n}.example.org")).await.unwrap();
        }
        world.now += HOUR;
        let held = world.succeeds("www.example.org").await.unwrap_err();
        let free = humantime::format_rfc3339_seconds(world.now - HOUR + 7 * 24 * HOUR);
        assert_eq!(
            held.to_string(),
            format!(
                "the budget of 40 new certificates in 7 days for example.org at ca is spent; \
                 the next one is free at {free}"
            )
        );
        world.succeeds("www.example.net").await.unwrap();
        world.now += 7 * 24 * HOUR;
        world.succeeds("www.example.org").await.unwrap();
    }

    #[tokio::test]
    async fn a_replacement_spends_neither_order_nor_certificate() {
        let world = World::new();
        for n in 0..300 {
            let subject = HostPattern::parse(&format!("n{}.example.org", n % 50)).unwrap();
            let purchase = Purchase {
                kind: OrderKind::Replacement,
                ..purchase(&subject, Limits::PUBLIC)
            };
            let paid = world.budgets().pay(purchase, world.now).await.unwrap();
            paid.unwrap().settle(None, world.now).await;
        }
        world.succeeds("www.example.org").await.unwrap();
    }

    #[tokio::test]
    async fn a_renewal_spends_an_order_and_no_certificate() {
        let world = World::new();
        for n in 0..249 {
            renew(&world, "ops", n).await.unwrap();
        }
        world.succeeds("www.example.org").await.unwrap();
        let held = renew(&world, "ops", 249).await.unwrap_err().to_string();
        assert!(held.contains("250 orders"), "{held}");
    }

    /// One renewal for an account.
    async fn renew(world: &World, account: &str, n: usize) -> Result<(), Held> {
        let subject = HostPattern::parse(&format!("n{n}.example.org")).unwrap();
        let purchase = Purchase {
            account,
            kind: OrderKind::Renewal,
            ..purchase(&subject, Limits::PUBLIC)
        };
        let spending = world.budgets().pay(purchase, world.now).await.unwrap()?;
        spending.order(world.now).await.unwrap();
        spending.settle(None, world.now).await;
        Ok(())
    }

    #[tokio::test]
    async fn each_account_has_orders_of_its_own_and_all_share_the_certificates_of_a_domain() {
        let world = World::new();
        for n in 0..250 {
            renew(&world, "one", n).await.unwrap();
        }
        assert!(renew(&world, "one", 250).await.is_err());
        renew(&world, "other", 250).await.unwrap();

        for n in 0..40 {
            world.succeeds(&format!("n{n}.example.net")).await.unwrap();
        }
        let subject = HostPattern::parse("www.example.net").unwrap();
        let purchase = Purchase {
            account: "other",
            ..purchase(&subject, Limits::PUBLIC)
        };
        let paid = world.budgets().pay(purchase, world.now).await.unwrap();
        assert!(matches!(paid, Err(Held::Spent { what, .. }) if what == "new certificates"));
    }

    #[tokio::test]
    async fn what_an_older_version_counted_counts_for_every_account_as_long_as_it_would() {
        let mut world = World::new();
        let spent = vec![unix(world.now); 249];
        let former = world.dir.path().join("budgets/ca/account.json");
        std::fs::create_dir_all(former.parent().unwrap()).unwrap();
        std::fs::write(&former, format!("{{\"spent\":{spent:?}}}")).unwrap();

        for account in ["one", "other"] {
            renew(&world, account, 0).await.unwrap();
            let held = renew(&world, account, 1).await.unwrap_err();
            assert!(held.to_string().contains("250 orders"), "{held}");
        }

        world.now += 3 * HOUR;
        renew(&world, "one", 2).await.unwrap();
    }

    #[tokio::test]
    async fn an_account_takes_its_counts_to_a_new_address() {
        let world = World::new();
        for n in 0..249 {
            renew(&world, "old", n).await.unwrap();
        }
        renew(&world, "new", 250).await.unwrap();

        let renamed = world.budgets().rename_account("ca", ["old", "new"]).await;
        renamed.unwrap();

        assert!(renew(&world, "new", 251).await.is_err());
        renew(&world, "old", 251).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_not_used_is_given_back() {
        let world = World::new();
        for n in 0..60 {
            let name = format!("n{}.example.org", n % 3);
            world.fails(&name, &answer(500, HOUR)).await;
            world.fails(&name, &Error::NoSubject).await;
        }
        let subject = HostPattern::parse("n0.example.org").unwrap();
        let purchase = purchase(&subject, Limits::PUBLIC);
        let held = world.budgets().find_held(purchase, world.now).await;
        assert_eq!(held.unwrap(), None);
        assert!(
            !world
                .dir
                .path()
                .join("budgets/ca/domains/example.org.json")
                .exists()
        );
        // The 60 orders that the CA saw count, those that it did not see do not.
        let account = world.dir.path().join("budgets/ca/accounts/ops.json");
        let account = std::fs::read_to_string(account).unwrap();
        assert_eq!(account.matches(',').count(), 59, "{account}");
    }

    #[tokio::test]
    async fn an_order_that_an_earlier_process_has_paid_for_is_not_paid_again() {
        let world = World::new();
        let spending = world.pay("www.example.org", Limits::PUBLIC).await.unwrap();
        // No order is placed: one that was left is gone on with.
        spending.settle(None, world.now).await;
        assert!(
            !world
                .dir
                .path()
                .join("budgets/ca/accounts/ops.json")
                .exists()
        );
        assert!(
            !world
                .dir
                .path()
                .join("budgets/ca/domains")
                .join("example.org.json")
                .exists()
        );
    }

    #[tokio::test]
    async fn what_a_killed_process_paid_stays_spent() {
        let world = World::new();
        for _ in 0..4 {
            drop(world.pay("www.example.org", Limits::PUBLIC).await.unwrap());
        }
        let held = world
            .pay("www.example.org", Limits::PUBLIC)
            .await
            .unwrap_err();
        assert!(
            held.to_string()
                .contains("4 failed authorizations in an hour"),
            "{held}"
        );
    }

    #[tokio::test]
    async fn no_single_answer_of_a_ca_keeps_all_names_waiting_for_more_than_a_day() {
        let world = World::new();
        world
            .fails("www.example.org", &answer(503, 24 * 30 * HOUR))
            .await;
        let held = world.succeeds("www.example.net").await.unwrap_err();
        assert_eq!(held.until(), world.now + 24 * HOUR);
    }

    #[tokio::test]
    async fn a_ca_that_asks_to_be_left_alone_gets_no_order_of_any_name() {
        for status in [429, 503] {
            let mut world = World::new();
            world.fails("www.example.org", &answer(status, HOUR)).await;
            let held = world.succeeds("www.example.net").await.unwrap_err();
            assert!(matches!(held, Held::Closed { .. }), "{held}");
            assert_eq!(held.until(), world.now + HOUR);
            world.now += HOUR;
            world.succeeds("www.example.net").await.unwrap();
        }
    }

    #[tokio::test]
    async fn each_further_order_of_an_attempt_is_paid_before_it_is_placed() {
        let world = World::new();
        let spending = world.pay("www.example.org", Limits::PRIVATE).await.unwrap();
        for _ in 0..4 {
            spending.order(world.now).await.unwrap();
            spending.spend_failed_authorization(1);
        }
        let refused = spending.order(world.now).await;
        assert!(matches!(refused, Err(Error::Held(_))), "{refused:?}");
        spending.settle(None, world.now).await;
    }

    #[tokio::test]
    async fn an_order_that_is_placed_again_without_its_predecessor_is_paid_as_a_renewal() {
        let world = World::new();
        for n in 0..249 {
            renew(&world, "ops", n).await.unwrap();
        }
        let subject = HostPattern::parse("www.example.org").unwrap();
        let purchase = Purchase {
            kind: OrderKind::Replacement,
            ..purchase(&subject, Limits::PUBLIC)
        };
        for is_free in [true, false] {
            let paid = world.budgets().pay(purchase, world.now).await.unwrap();
            let spending = paid.unwrap();
            spending.order(world.now).await.unwrap();
            let again = spending.order_without_predecessor(world.now).await;
            assert_eq!(again.is_ok(), is_free, "{again:?}");
            // The refused order has reached the CA, whatever becomes of the second.
            spending.settle(Some(&Error::NoSubject), world.now).await;
        }
        // What may fail is paid once, and given back.
        let names = world.dir.path().join("budgets/ca/names");
        assert!(!names.join("www.example.org.json").exists());
    }

    #[tokio::test]
    async fn what_is_paid_later_in_an_attempt_is_dated_by_the_clock_of_the_attempt() {
        let world = World::new();
        let spending = world.pay("www.example.org", Limits::PUBLIC).await.unwrap();
        let later = world.now + HOUR;
        for now in [world.now, later] {
            spending.order(now).await.unwrap();
        }
        let orders = world.dir.path().join("budgets/ca/accounts/ops.json");
        let orders = std::fs::read_to_string(orders).unwrap();
        let expected = format!("[{},{}]", unix(world.now), unix(later));
        assert!(orders.contains(&expected), "{orders}");
    }

    #[tokio::test]
    async fn a_damaged_book_begins_anew() {
        let world = World::new();
        let book = world
            .dir
            .path()
            .join("budgets/ca/names/www.example.org.json");
        std::fs::create_dir_all(book.parent().unwrap()).unwrap();
        std::fs::write(&book, "half a").unwrap();
        drop(world.pay("www.example.org", Limits::PUBLIC).await.unwrap());
        assert!(std::fs::read_to_string(&book).unwrap().ends_with("]}"));
    }
}
