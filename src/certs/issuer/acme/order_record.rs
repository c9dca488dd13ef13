//! What is kept of an order that is under way, so that a process that was killed goes on with it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use tracing::warn;
use url::Url;

use super::super::Error;
use crate::acme::{Account, Order};
use crate::name::HostPattern;
use crate::storage::{self, Key, Storage};

/// How long an order is kept that cannot be read or does not get on.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// An order and the key that its certificate is for. Its `Debug` does not show the key.
#[derive(Serialize, Deserialize)]
pub(super) struct OrderRecord {
    issuer: String,
    account: String,
    subject: String,
    url: Url,
    placed: u64,
    key: String,
}

impl OrderRecord {
    /// Whether the order is one of this account's.
    pub(super) fn is_of(&self, account: &Account) -> bool {
        self.account == account.url()
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
    pub(super) fn is_over(&self, failure: &Error) -> bool {
        let ends = match failure {
            Error::Acme(failure) => failure.ends_order(),
            _ => true,
        };
        let placed = UNIX_EPOCH.checked_add(Duration::from_secs(self.placed));
        let age = placed.and_then(|placed| SystemTime::now().duration_since(placed).ok());
        ends || age.is_some_and(|age| age > PATIENCE)
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

/// The orders of one CA that are under way, at most one per subject.
#[derive(Debug)]
pub(super) struct OrderRecords {
    issuer: String,
    storage: Arc<dyn Storage>,
}

impl OrderRecords {
    pub(super) fn new(issuer: String, storage: Arc<dyn Storage>) -> Self {
        Self { issuer, storage }
    }

    /// What is kept of an order for `subject`. What cannot be understood is none.
    pub(super) async fn load(
        &self,
        subject: &HostPattern,
    ) -> Result<Option<OrderRecord>, storage::Error> {
        let record = self.storage.load(&self.key(subject)).await?;
        let record = record.and_then(|json| serde_json::from_slice(&json).ok());
        Ok(record.filter(|record: &OrderRecord| record.subject == subject.to_string()))
    }

    /// Keeps an order that was just placed.
    pub(super) async fn store(
        &self,
        subject: &HostPattern,
        account: &Account,
        (order, key): (&Order, &KeyPair),
    ) -> Result<OrderRecord, storage::Error> {
        let placed = SystemTime::now().duration_since(UNIX_EPOCH);
        let record = OrderRecord {
            issuer: self.issuer.clone(),
            account: account.url().to_owned(),
            subject: subject.to_string(),
            url: order.url().clone(),
            placed: placed.unwrap_or_default().as_secs(),
            key: key.serialize_pem(),
        };
        let json = serde_json::to_vec_pretty(&record).unwrap_or_default();
        self.storage.store(&self.key(subject), &json).await?;
        Ok(record)
    }

    /// Forgets the order for `subject`. Where that fails it is found to be over at the next attempt.
    pub(super) async fn forget(&self, subject: &HostPattern) {
        if let Err(error) = self.storage.delete(&self.key(subject)).await {
            warn!(names = %subject, issuer = %self.issuer, %error, "the record of an order that is over is left behind");
        }
    }

    fn key(&self, subject: &HostPattern) -> Key {
        Key::new(&["orders", &self.issuer, &format!("{subject}.json")])
    }
}
