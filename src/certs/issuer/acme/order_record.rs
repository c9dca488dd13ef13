//! Records of orders in progress, so that the next process can resume them after a crash.

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

/// Time for which an order without progress is kept.
const STALL_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Upper bound for the lifetime of an order, whatever its CA says.
const MAX_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// Folder of the records.
pub(super) const ORDERS: &str = "orders";

/// Order with the key of its certificate. `Debug` does not show the key.
#[derive(Serialize, Deserialize)]
pub(super) struct OrderRecord {
    issuer: String,
    account: String,
    subject: String,
    url: Url,
    placed: u64,
    /// Unix time in seconds at which the order expires at the CA.
    #[serde(default)]
    expires: Option<u64>,
    key: String,
}

impl OrderRecord {
    /// Returns the name that the order is for.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether the order has expired at the CA.
    pub(super) fn has_ended(&self, now: SystemTime) -> bool {
        let [shortest, longest] =
            [STALL_LIMIT, MAX_LIFETIME].map(|life| self.placed.saturating_add(life.as_secs()));
        let end = self
            .expires
            .map_or(longest, |end| end.clamp(shortest, longest));
        end < unix(now)
    }

    /// Returns the URL of the order.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the key of the certificate; `None` if it cannot be parsed.
    pub(super) fn key(&self) -> Option<KeyPair> {
        KeyPair::from_pem(&self.key).ok()
    }

    /// Whether the order cannot succeed any more after this failure.
    pub(super) fn is_over(&self, failure: &Error, now: SystemTime) -> bool {
        let ends = match failure {
            Error::Acme(failure) => failure.ends_order(),
            _ => true,
        };
        ends || self.placed.saturating_add(STALL_LIMIT.as_secs()) < unix(now)
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

/// New order with the key of its certificate.
pub(super) struct PlacedOrder<'a> {
    pub(super) account: &'a Account,
    pub(super) subject: &'a HostPattern,
    pub(super) order: &'a Order,
    pub(super) key: &'a KeyPair,
}

/// Records of the orders in progress at one CA, at most one per account and subject.
#[derive(Debug)]
pub(super) struct OrderRecords {
    issuer: String,
    storage: Arc<dyn Storage>,
}

impl OrderRecords {
    pub(super) fn new(issuer: String, storage: Arc<dyn Storage>) -> Self {
        Self { issuer, storage }
    }

    /// Returns the record of an account's order for `subject`. An unreadable record counts as missing.
    pub(super) async fn load(
        &self,
        subject: &HostPattern,
        account: &str,
    ) -> Result<Option<OrderRecord>, storage::Error> {
        let own = self.read(&self.key(subject, account)).await?;
        let found = match own {
            Some(own) => Some(own),
            None => self.read(&self.legacy_key(subject)).await?,
        };
        Ok(found.filter(|it| it.subject == subject.to_string() && it.account == account))
    }

    async fn read(&self, key: &Key) -> Result<Option<OrderRecord>, storage::Error> {
        let record = self.storage.load(key).await?;
        Ok(record.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    /// Stores a new order.
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

    /// Removes the record of an account's order for `subject`. A failure is only logged: the next attempt finds that the
    /// order has ended.
    pub(super) async fn forget(&self, subject: &HostPattern, account: &str) {
        if let Err(error) = self.delete(subject, account).await {
            warn!(names = %subject, issuer = %self.issuer, %error, "record of a finished order could not be removed");
        }
    }

    async fn delete(&self, subject: &HostPattern, account: &str) -> Result<(), storage::Error> {
        let legacy = self.legacy_key(subject);
        let is_own = |record: OrderRecord| record.account == account;
        if self.read(&legacy).await?.is_some_and(is_own) {
            self.storage.delete(&legacy).await?;
        }
        self.storage.delete(&self.key(subject, account)).await
    }

    /// Storage key of a record. Contains the account URL, which stays when the e-mail address of the account changes.
    fn key(&self, subject: &HostPattern, account: &str) -> Key {
        Key::new(&[ORDERS, &self.issuer, account, &format!("{subject}.json")])
    }

    /// Storage key in older versions, which kept one order for all accounts.
    fn legacy_key(&self, subject: &HostPattern) -> Key {
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
    fn an_order_without_progress_is_over_after_a_day() {
        let placed = UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        let record = OrderRecord {
            placed: unix(placed),
            ..record("https://ca.test/1")
        };
        let failure = Error::Acme(acme::Error::Timeout {
            step: Step::Order,
            url: "https://ca.test/".parse().unwrap(),
            limit: STALL_LIMIT,
        });
        assert!(!record.is_over(&failure, placed + STALL_LIMIT));
        assert!(record.is_over(&failure, placed + STALL_LIMIT + Duration::from_secs(1)));
        assert!(record.is_over(
            &Error::Certificate(crate::certs::CertificateError::KeyMismatch),
            placed
        ));
    }

    #[test]
    fn an_order_expires_when_its_ca_says_but_within_bounds() {
        let days = |days: u32| STALL_LIMIT * days;
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
    async fn accounts_do_not_see_the_orders_of_each_other() {
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
    async fn an_order_of_an_older_version_is_found_only_by_its_account() {
        let (world, own) = (World::new(), "https://ca.test/1");
        let legacy = world.records.legacy_key(&world.subject);
        world.write(&legacy, own).await;

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
