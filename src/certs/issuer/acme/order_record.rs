//! What is kept of an order that is under way, so that a process that was killed goes on with it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use tracing::warn;
use url::Url;

use super::super::Error;
use crate::acme::{Account, Order};
use crate::certs::clock::unix;
use crate::name::HostPattern;
use crate::storage::{self, Key, Storage};

/// How long an order is kept that cannot be read or does not get on.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How long no order lives, whatever its CA says.
const LONGEST_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// The folder of the records.
pub(super) const ORDERS: &str = "orders";

/// An order and the key that its certificate is for. Its `Debug` does not show the key.
#[derive(Serialize, Deserialize)]
pub(super) struct OrderRecord {
    issuer: String,
    account: String,
    subject: String,
    url: Url,
    placed: u64,
    /// Unix time at which the CA gives the order up, in seconds.
    #[serde(default)]
    expires: Option<u64>,
    key: String,
}

impl OrderRecord {
    /// What the order is for.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether the CA has given the order up by `now`.
    pub(super) fn has_ended(&self, now: SystemTime) -> bool {
        let [shortest, longest] =
            [PATIENCE, LONGEST_LIFE].map(|life| self.placed.saturating_add(life.as_secs()));
        let end = self
            .expires
            .map_or(longest, |end| end.clamp(shortest, longest));
        end < unix(now)
    }

    /// Where the order is.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The key that the order's CSR is for, unless the record is damaged.
    pub(super) fn key(&self) -> Option<KeyPair> {
        KeyPair::from_pem(&self.key).ok()
    }

    /// Whether the order cannot come to anything any more after this failure.
    pub(super) fn is_over(&self, failure: &Error, now: SystemTime) -> bool {
        let ends = match failure {
            Error::Acme(failure) => failure.ends_order(),
            _ => true,
        };
        ends || self.placed.saturating_add(PATIENCE.as_secs()) < unix(now)
    }
}

impl fmt::Debug for OrderRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderRecord")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

/// An order that was just placed, and the key that its certificate is for.
pub(super) struct PlacedOrder<'a> {
    pub(super) account: &'a Account,
    pub(super) subject: &'a HostPattern,
    pub(super) order: &'a Order,
    pub(super) key: &'a KeyPair,
}

/// The orders of one CA that are under way, at most one per account and subject.
#[derive(Debug)]
pub(super) struct OrderRecords {
    issuer: String,
    storage: Arc<dyn Storage>,
}

impl OrderRecords {
    pub(super) fn new(issuer: String, storage: Arc<dyn Storage>) -> Self {
        Self { issuer, storage }
    }

    /// What is kept of an order of an account for `subject`. What cannot be understood is none.
    pub(super) async fn load(
        &self,
        subject: &HostPattern,
        account: &str,
    ) -> Result<Option<OrderRecord>, storage::Error> {
        let own = self.read(&self.key(subject, account)).await?;
        let found = match own {
            Some(own) => Some(own),
            None => self.read(&self.former_key(subject)).await?,
        };
        Ok(found.filter(|it| it.subject == subject.to_string() && it.account == account))
    }

    async fn read(&self, key: &Key) -> Result<Option<OrderRecord>, storage::Error> {
        let record = self.storage.load(key).await?;
        Ok(record.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    /// Keeps an order that was just placed.
    pub(super) async fn store(
        &self,
        placed: PlacedOrder<'_>,
        now: SystemTime,
    ) -> Result<OrderRecord, storage::Error> {
        let PlacedOrder {
            account,
            subject,
            order,
            key,
        } = placed;
        let record = OrderRecord {
            issuer: self.issuer.clone(),
            account: account.url().to_owned(),
            subject: subject.to_string(),
            url: order.url().clone(),
            placed: unix(now),
            expires: order.expires().map(unix),
            key: key.serialize_pem(),
        };
        let json = serde_json::to_vec_pretty(&record).unwrap_or_default();
        let key = self.key(subject, account.url());
        self.storage.store(&key, &json).await?;
        Ok(record)
    }

    /// Forgets the order of an account for `subject`. Where that fails it is found to be over at the next attempt.
    pub(super) async fn forget(&self, subject: &HostPattern, account: &str) {
        if let Err(error) = self.delete(subject, account).await {
            warn!(names = %subject, issuer = %self.issuer, %error, "the record of an order that is over is left behind");
        }
    }

    async fn delete(&self, subject: &HostPattern, account: &str) -> Result<(), storage::Error> {
        let former = self.former_key(subject);
        let is_own = |record: OrderRecord| record.account == account;
        if self.read(&former).await?.is_some_and(is_own) {
            self.storage.delete(&former).await?;
        }
        self.storage.delete(&self.key(subject, account)).await
    }

    /// By the account's URL, which stays when its e-mail address changes.
    fn key(&self, subject: &HostPattern, account: &str) -> Key {
        Key::new(&[ORDERS, &self.issuer, account, &format!("{subject}.json")])
    }

    /// Where older versions kept the one order of all accounts.
    fn former_key(&self, subject: &HostPattern) -> Key {
        Key::new(&[ORDERS, &self.issuer, &format!("{subject}.json")])
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::acme::{self, Step};
    use crate::storage::FileStorage;

    const NAME: &str = "www.example.org";

    fn record(account: &str) -> OrderRecord {
        OrderRecord {
            issuer: "ca".to_owned(),
            account: account.to_owned(),
            subject: NAME.to_owned(),
            url: "https://ca.test/order/1".parse().unwrap(),
            placed: 0,
            expires: None,
            key: String::new(),
        }
    }

    struct World {
        _dir: tempfile::TempDir,
        records: OrderRecords,
        subject: HostPattern,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let storage = Arc::new(FileStorage::open(dir.path()).unwrap());
            Self {
                _dir: dir,
                records: OrderRecords::new("ca".to_owned(), storage),
                subject: HostPattern::parse(NAME).unwrap(),
            }
        }

        async fn write(&self, key: &Key, account: &str) {
            let json = serde_json::to_vec(&record(account)).unwrap();
            self.records.storage.store(key, &json).await.unwrap();
        }

        async fn account_of(&self, account: &str) -> Option<String> {
            let found = self.records.load(&self.subject, account).await.unwrap();
            found.map(|record| record.account)
        }
    }

    #[test]
    fn an_order_that_does_not_get_on_is_over_after_a_day_of_the_clock() {
        let placed = UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        let record = OrderRecord {
            placed: unix(placed),
            ..record("https://ca.test/1")
        };
        let failure = Error::Acme(acme::Error::Timeout {
            step: Step::Order,
            url: "https://ca.test/".parse().unwrap(),
            limit: PATIENCE,
        });
        assert!(!record.is_over(&failure, placed + PATIENCE));
        assert!(record.is_over(&failure, placed + PATIENCE + Duration::from_secs(1)));
        assert!(record.is_over(&Error::NotText, placed));
    }

    #[test]
    fn an_order_ends_when_its_ca_says_so_within_reason() {
        let days = |days: u32| PATIENCE * days;
        let ends = |expires: Option<Duration>, after: Duration| {
            let record = OrderRecord {
                expires: expires.map(|end| end.as_secs()),
                ..record("https://ca.test/1")
            };
            let end = UNIX_EPOCH + after;
            !record.has_ended(end) && record.has_ended(end + Duration::from_secs(1))
        };
        assert!(ends(Some(days(7)), days(7)));
        assert!(ends(Some(Duration::ZERO), days(1)));
        assert!(ends(Some(days(10_000)), days(90)));
        assert!(ends(None, days(90)));
    }

    #[tokio::test]
    async fn the_order_of_one_account_is_none_of_anothers() {
        let world = World::new();
        for account in ["https://ca.test/1", "https://ca.test/2"] {
            let key = world.records.key(&world.subject, account);
            world.write(&key, account).await;
        }

        world
            .records
            .forget(&world.subject, "https://ca.test/1")
            .await;

        assert_eq!(world.account_of("https://ca.test/1").await, None);
        let other = world.account_of("https://ca.test/2").await;
        assert_eq!(other.as_deref(), Some("https://ca.test/2"));
    }

    #[tokio::test]
    async fn the_order_that_an_older_version_has_left_is_found_by_its_account_alone() {
        let (world, own) = (World::new(), "https://ca.test/1");
        let former = world.records.former_key(&world.subject);
        world.write(&former, own).await;

        assert_eq!(world.account_of("https://ca.test/2").await, None);
        world
            .records
            .forget(&world.subject, "https://ca.test/2")
            .await;
        assert_eq!(world.account_of(own).await.as_deref(), Some(own));
        world.records.forget(&world.subject, own).await;
        assert_eq!(world.account_of(own).await, None);
    }
}
