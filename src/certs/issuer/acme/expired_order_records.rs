//! Records of orders that no attempt has resumed.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::StreamExt;

use super::order_record::{ORDERS, OrderRecord};
use crate::name::HostPattern;
use crate::storage::{self, Key, Listing, Storage};

/// Records of all orders at all CAs and of all accounts.
#[derive(Debug)]
pub(crate) struct ExpiredOrderRecords {
    storage: Arc<dyn Storage>,
}

/// Record of an expired order.
#[derive(Clone, Debug)]
pub(crate) struct StaleOrder {
    key: Key,
    subject: HostPattern,
}

impl StaleOrder {
    /// Returns the name that the order is for.
    #[must_use]
    pub(crate) fn subject(&self) -> &HostPattern {
        &self.subject
    }
}

impl ExpiredOrderRecords {
    /// Opens the records in `storage`.
    #[must_use]
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage }
    }

    /// Lists the folders that may contain records, one or more for each CA.
    pub(crate) async fn folders(&self) -> Result<Vec<Key>, storage::Error> {
        let mut folders = Vec::new();
        let mut issuers = self.storage.list(&Key::new(&[ORDERS]));
        while let Some(batch) = issuers.next().await {
            for issuer in batch? {
                // Older versions kept records next to the account folders.
                let mut accounts = self.storage.list(&issuer);
                folders.push(issuer);
                while let Some(batch) = accounts.next().await {
                    folders.extend(batch?.into_iter().filter(is_account));
                }
            }
        }
        Ok(folders)
    }

    /// Lists the records of a folder in batches. The listing may include folders.
    #[must_use]
    pub(crate) fn records(&self, folder: &Key) -> Listing {
        self.storage.list(folder)
    }

    /// Returns the record if its order has expired at the CA; `None` if an attempt may still resume it.
    pub(crate) async fn expired(
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
            // An unreadable record cannot be resumed.
            Err(_) => name_of(key),
        };
        Ok(subject.map(|subject| StaleOrder {
            key: key.clone(),
            subject,
        }))
    }

    /// Removes a record. The caller holds the issuance lock of its name, and has called [`expired`](Self::expired) while
    /// holding it.
    pub(crate) async fn remove(&self, order: &StaleOrder) -> Result<(), storage::Error> {
        self.storage.delete(&order.key).await
    }
}

/// Whether the key is the folder of an account. Account URLs contain slashes, names do not.
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
