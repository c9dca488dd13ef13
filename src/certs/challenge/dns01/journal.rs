//! What is set in DNS, written down from before a record is set until it is removed: what a process leaves there that is
//! killed, the next one finds here, whatever its CA still knows of the order.

use std::sync::Arc;
use std::time::SystemTime;

use dashmap::DashSet;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::provider::TxtRecord;
use crate::certs::clock::unix;
use crate::name::HostPattern;
use crate::storage::{self, Key, Storage};

/// The folder of the entries, by certificate and value.
const FOLDER: &str = "dns-records";

/// Entries in storage, of all processes that share it.
#[derive(Clone, Debug)]
pub(crate) struct DnsJournal {
    storage: Arc<dyn Storage>,
    /// What this process has set and will remove.
    kept: Arc<DashSet<TxtRecord>>,
}

/// A record and the certificate that it was set for.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    certificate: String,
    name: String,
    value: String,
    /// Unix time at which it was set, in seconds.
    since: u64,
}

/// Ends this process' own care for a record when it is dropped.
pub(super) struct LastTry<'a> {
    journal: &'a DnsJournal,
    record: &'a TxtRecord,
}

impl DnsJournal {
    /// The entries in `storage`.
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            kept: Arc::default(),
        }
    }

    /// Writes down a record that is about to be set.
    pub(super) async fn enter(
        &self,
        certificate: &HostPattern,
        record: &TxtRecord,
    ) -> Result<(), storage::Error> {
        self.kept.insert(record.clone());
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

    /// The record is about to be removed: when that comes to nothing it is left for the next attempt.
    pub(super) fn last_try<'a>(&'a self, record: &'a TxtRecord) -> LastTry<'a> {
        LastTry {
            journal: self,
            record,
        }
    }

    /// Strikes out a record that is removed.
    pub(super) async fn strike(
        &self,
        certificate: &HostPattern,
        record: &TxtRecord,
    ) -> Result<(), storage::Error> {
        self.storage.delete(&key(certificate, &record.value)).await
    }

    /// The records for a certificate that nobody in this process sees to.
    pub(super) async fn left(
        &self,
        certificate: &HostPattern,
    ) -> Result<Vec<TxtRecord>, storage::Error> {
        let entries = self.entries(&folder(certificate)).await?;
        let records = entries.into_iter().map(Entry::into_record);
        Ok(records
            .filter(|record| !self.kept.contains(record))
            .collect())
    }

    /// What there are entries for.
    pub(crate) async fn certificates(&self) -> Result<Vec<HostPattern>, storage::Error> {
        let mut certificates = Vec::new();
        let mut folders = self.storage.list(&Key::new(&[FOLDER]));
        while let Some(batch) = folders.next().await {
            for folder in batch? {
                // A long name is not in its folder's own.
                let entries = self.entries(&folder).await?;
                let mut names = entries.iter().map(|entry| entry.certificate.as_str());
                certificates.extend(names.find_map(|name| HostPattern::parse(name).ok()));
            }
        }
        Ok(certificates)
    }

    /// Strikes out the records for a certificate that were set before `limit`, and returns them.
    pub(crate) async fn give_up(
        &self,
        certificate: &HostPattern,
        limit: SystemTime,
    ) -> Result<Vec<TxtRecord>, storage::Error> {
        let mut given_up = Vec::new();
        for entry in self.entries(&folder(certificate)).await? {
            if entry.since < unix(limit) {
                let record = entry.into_record();
                self.strike(certificate, &record).await?;
                given_up.push(record);
            }
        }
        Ok(given_up)
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

impl Drop for LastTry<'_> {
    fn drop(&mut self) {
        self.journal.kept.remove(self.record);
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
    async fn the_next_process_finds_what_was_not_struck_out_and_this_one_what_it_failed_to_remove()
    {
        let dir = tempfile::tempdir().unwrap();
        let (this, next) = (journal(&dir), journal(&dir));
        let long = format!("*.{0}.{0}.{0}.example.org", "x".repeat(60));
        let [wildcard, base] =
            [long.as_str(), "example.org"].map(|it| HostPattern::parse(it).unwrap());
        let (stays, goes) = (record("Stays"), record("Goes"));
        this.enter(&wildcard, &stays).await.unwrap();
        this.enter(&wildcard, &goes).await.unwrap();

        this.strike(&wildcard, &goes).await.unwrap();

        let stayed = std::slice::from_ref(&stays);
        assert_eq!(next.left(&wildcard).await.unwrap(), stayed);
        assert!(next.left(&base).await.unwrap().is_empty());
        let known = next.certificates().await.unwrap();
        assert_eq!(known, std::slice::from_ref(&wildcard));
        assert!(this.left(&wildcard).await.unwrap().is_empty());
        drop(this.last_try(&stays));
        assert_eq!(this.left(&wildcard).await.unwrap(), stayed);
    }

    #[tokio::test]
    async fn what_is_old_is_given_up_once() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, name) = (journal(&dir), HostPattern::parse("example.org").unwrap());
        journal.enter(&name, &record("a")).await.unwrap();
        let now = SystemTime::now();

        let young = journal.give_up(&name, now - Duration::from_secs(60)).await;
        let old = journal.give_up(&name, now + Duration::from_secs(60)).await;

        assert!(young.unwrap().is_empty());
        assert_eq!(old.unwrap(), [record("a")]);
        assert!(journal.certificates().await.unwrap().is_empty());
    }
}
