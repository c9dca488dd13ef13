//! Journal of the records in DNS. An entry is stored before its record is set, and removed after the record is removed.
//! When a process is killed, the next one finds its records here, even if the CA no longer knows the order.

use std::sync::Arc;
use std::time::SystemTime;

use dashmap::DashSet;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::provider::TxtRecord;
use crate::certs::clock::unix;
use crate::name::HostPattern;
use crate::storage::{self, Key, Storage};

/// Folder of the entries in storage, by certificate and value.
const FOLDER: &str = "dns-records";

/// Journal in storage. All processes that share the storage share the journal.
#[derive(Clone, Debug)]
pub(crate) struct DnsJournal {
    storage: Arc<dyn Storage>,
    /// Records that this process has set and will remove.
    in_use: Arc<DashSet<TxtRecord>>,
}

/// Record with the certificate that it was set for.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    certificate: String,
    name: String,
    value: String,
    /// Unix time at which the record was set, in seconds.
    since: u64,
}

/// Marks a record as no longer in use by this process when dropped.
pub(super) struct ReleaseGuard<'a> {
    journal: &'a DnsJournal,
    record: &'a TxtRecord,
}

impl DnsJournal {
    /// Opens the journal in `storage`.
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            in_use: Arc::default(),
        }
    }

    /// Adds a record that is about to be set.
    pub(super) async fn add(
        &self,
        certificate: &HostPattern,
        record: &TxtRecord,
    ) -> Result<(), storage::Error> {
        self.in_use.insert(record.clone());
        let entry = Entry {
            certificate: certificate.to_string(),
            name: record.name.clone(),
            value: record.value.clone(),
            since: unix(SystemTime::now()),
        };
        let json = serde_json::to_vec_pretty(&entry).unwrap_or_default();
        self.storage
            .store(&key(certificate, &record.value), &json)
            .await
    }

    /// Guards the removal of a record. If the removal fails, the record becomes a leftover that the next attempt removes.
    pub(super) fn release_on_drop<'a>(&'a self, record: &'a TxtRecord) -> ReleaseGuard<'a> {
        ReleaseGuard {
            journal: self,
            record,
        }
    }

    /// Removes the entry of a record that DNS no longer has.
    pub(super) async fn remove(
        &self,
        certificate: &HostPattern,
        record: &TxtRecord,
    ) -> Result<(), storage::Error> {
        self.storage.delete(&key(certificate, &record.value)).await
    }

    /// Returns the records for a certificate that this process does not use.
    pub(super) async fn leftovers(
        &self,
        certificate: &HostPattern,
    ) -> Result<Vec<TxtRecord>, storage::Error> {
        let entries = self.entries(&folder(certificate)).await?;
        let records = entries.into_iter().map(Entry::into_record);
        Ok(records
            .filter(|record| !self.in_use.contains(record))
            .collect())
    }

    /// Returns the certificates that have entries.
    pub(crate) async fn certificates(&self) -> Result<Vec<HostPattern>, storage::Error> {
        let mut certificates = Vec::new();
        let mut folders = self.storage.list(&Key::new(&[FOLDER]));
        while let Some(batch) = folders.next().await {
            for folder in batch? {
                // The name of a folder may not hold all of a long certificate name, so the entries tell it.
                let entries = self.entries(&folder).await?;
                let mut names = entries.iter().map(|entry| entry.certificate.as_str());
                certificates.extend(names.find_map(|name| HostPattern::parse(name).ok()));
            }
        }
        Ok(certificates)
    }

    /// Removes the entries of a certificate whose records were set before `limit`, and returns these records.
    pub(crate) async fn expire(
        &self,
        certificate: &HostPattern,
        limit: SystemTime,
    ) -> Result<Vec<TxtRecord>, storage::Error> {
        let mut expired = Vec::new();
        for entry in self.entries(&folder(certificate)).await? {
            if entry.since < unix(limit) {
                let record = entry.into_record();
                self.remove(certificate, &record).await?;
                expired.push(record);
            }
        }
        Ok(expired)
    }

    async fn entries(&self, folder: &Key) -> Result<Vec<Entry>, storage::Error> {
        let mut entries = Vec::new();
        let mut keys = self.storage.list(folder);
        while let Some(batch) = keys.next().await {
            for key in batch? {
                let json = self.storage.load(&key).await?;
                entries.extend(json.and_then(|json| serde_json::from_slice(&json).ok()));
            }
        }
        Ok(entries)
    }
}

impl Entry {
    fn into_record(self) -> TxtRecord {
        TxtRecord {
            name: self.name,
            value: self.value,
        }
    }
}

impl Drop for ReleaseGuard<'_> {
    fn drop(&mut self) {
        self.journal.in_use.remove(self.record);
    }
}

fn folder(certificate: &HostPattern) -> Key {
    Key::new(&[FOLDER, &certificate.to_string()])
}

fn key(certificate: &HostPattern, value: &str) -> Key {
    folder(certificate).join(&format!("{value}.json"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::storage::FileStorage;

    fn record(value: &str) -> TxtRecord {
        TxtRecord {
            name: "_acme-challenge.example.org".to_owned(),
            value: value.to_owned(),
        }
    }

    fn journal(dir: &tempfile::TempDir) -> DnsJournal {
        DnsJournal::new(Arc::new(FileStorage::open(dir.path()).unwrap()))
    }

    #[tokio::test]
    async fn leftovers_are_found_by_the_next_process_and_after_a_failed_removal_by_this_one() {
        let dir = tempfile::tempdir().unwrap();
        let (this, next) = (journal(&dir), journal(&dir));
        let long = format!("*.{0}.{0}.{0}.example.org", "x".repeat(60));
        let [wildcard, base] =
            [long.as_str(), "example.org"].map(|it| HostPattern::parse(it).unwrap());
        let (stays, goes) = (record("Stays"), record("Goes"));
        this.add(&wildcard, &stays).await.unwrap();
        this.add(&wildcard, &goes).await.unwrap();

        this.remove(&wildcard, &goes).await.unwrap();

        let leftover = std::slice::from_ref(&stays);
        assert_eq!(next.leftovers(&wildcard).await.unwrap(), leftover);
        assert!(next.leftovers(&base).await.unwrap().is_empty());
        let known = next.certificates().await.unwrap();
        assert_eq!(known, std::slice::from_ref(&wildcard));
        assert!(this.leftovers(&wildcard).await.unwrap().is_empty());
        drop(this.release_on_drop(&stays));
        assert_eq!(this.leftovers(&wildcard).await.unwrap(), leftover);
    }

    #[tokio::test]
    async fn old_entries_expire_once() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, name) = (journal(&dir), HostPattern::parse("example.org").unwrap());
        journal.add(&name, &record("a")).await.unwrap();
        let now = SystemTime::now();

        let young = journal.expire(&name, now - Duration::from_secs(60)).await;
        let old = journal.expire(&name, now + Duration::from_secs(60)).await;

        assert!(young.unwrap().is_empty());
        assert_eq!(old.unwrap(), [record("a")]);
        assert!(journal.certificates().await.unwrap().is_empty());
    }
}
