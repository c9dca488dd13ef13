//! Records of orders that nobody came back for.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::StreamExt;

use super::order_record::{ORDERS, OrderRecord};
use crate::name::HostPattern;
use crate::storage::{self, Key, Listing, Storage};

/// The records of all orders at all CAs, whoever has placed them.
#[derive(Debug)]
pub(crate) struct StaleOrders {
    storage: Arc<dyn Storage>,
}

/// One of the records.
#[derive(Clone, Debug)]
pub(crate) struct StaleOrder {
    key: Key,
    subject: HostPattern,
}

impl StaleOrder {
    /// What the order is for.
    #[must_use]
    pub(crate) fn subject(&self) -> &HostPattern {
        &self.subject
    }
}

impl StaleOrders {
    /// The records in `storage`.
    #[must_use]
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage }
    }

    /// The folders that records may lie in, one or more for each CA.
    pub(crate) async fn folders(&self) -> Result<Vec<Key>, storage::Error> {
        let mut folders = Vec::new();
        let mut issuers = self.storage.list(&Key::new(&[ORDERS]));
        while let Some(batch) = issuers.next().await {
            for issuer in batch? {
                // What lies beside the folders of the accounts has an older version left.
                let mut accounts = self.storage.list(&issuer);
                folders.push(issuer);
                while let Some(batch) = accounts.next().await {
                    folders.extend(batch?.into_iter().filter(is_account));
                }
            }
        }
        Ok(folders)
    }

    /// The records in a folder, in batches; folders may be among them.
    #[must_use]
    pub(crate) fn records(&self, folder: &Key) -> Listing {
        self.storage.list(folder)
    }

    /// A record whose order the CA has given up by `now`; none for one that an attempt may still go on with.
    pub(crate) async fn outlived(
        &self,
        key: &Key,
        now: SystemTime,
    ) -> Result<Option<StaleOrder>, storage::Error> {
        if is_account(key) {
            return Ok(None);
        }
        let Some(json) = self.storage.load(key).await? else {
            return Ok(None);
        };
        let subject = match serde_json::from_slice::<OrderRecord>(&json) {
            Ok(record) if record.has_ended(now) => HostPattern::parse(record.subject()).ok(),
            Ok(_) => None,
            // No attempt can go on with what cannot be read.
            Err(_) => name_of(key),
        };
        Ok(subject.map(|subject| StaleOrder {
            key: key.clone(),
            subject,
        }))
    }

    /// Removes a record. The caller holds the lock of its name, and has looked at it since.
    pub(crate) async fn remove(&self, order: &StaleOrder) -> Result<(), storage::Error> {
        self.storage.delete(&order.key).await
    }
}

/// Whether it is the folder of an account: its URL has slashes, which no name has.
fn is_account(key: &Key) -> bool {
    key.as_str()
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains("%2F"))
}

fn name_of(key: &Key) -> Option<HostPattern> {
    let file = key.last_segment()?;
    HostPattern::parse(file.strip_suffix(".json")?).ok()
}
