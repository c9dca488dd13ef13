//! Pending challenges in storage. During an upgrade two processes listen on the same sockets, and the CA may reach the one that
//! has not ordered: it finds here what it has to answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::acme::{ChallengeType, Identifier};
use crate::certs::clock::unix;
use crate::storage::{self, Key, Storage};
use crate::tasks::Tasks;

/// Folder of the records in storage, by type and by what the CA asks for.
const FOLDER: &str = "challenges";

/// Records that are looked for at the same time. Anybody can ask for tokens that do not exist.
const LOOKUPS: usize = 16;

/// Longest token or name that is looked for.
const LONGEST: usize = 255;

/// Age at which a record belongs to no running process any more.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// The records of pending challenges. Clones are the same records.
#[derive(Clone, Debug)]
pub struct ChallengeRecords {
    storage: Arc<dyn Storage>,
    /// Tasks that remove records.
    tasks: Tasks,
    lookups: Arc<Semaphore>,
}

/// Answer to one challenge.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ChallengeRecord {
    /// The name or IP address that is to be proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identifier: Option<String>,
    pub(super) key_authorization: String,
    /// Unix time at which the challenge was presented, in seconds.
    since: u64,
}

impl ChallengeRecord {
    pub(super) fn new(identifier: Option<&Identifier>, key_authorization: &str) -> Self {
        Self {
            identifier: identifier.map(ToString::to_string),
            key_authorization: key_authorization.to_owned(),
            since: unix(SystemTime::now()),
        }
    }

    pub(super) fn identifier(&self) -> Option<Identifier> {
        let text = self.identifier.as_ref()?;
        let ip = text.parse::<IpAddr>().map(Identifier::Ip);
        Some(ip.unwrap_or_else(|_| Identifier::Dns(text.clone())))
    }
}

/// A stored record, which is removed when this is dropped.
#[derive(Debug)]
pub(super) struct StoredChallenge {
    records: ChallengeRecords,
    key: Key,
}

impl Drop for StoredChallenge {
    fn drop(&mut self) {
        let (storage, key) = (Arc::clone(&self.records.storage), self.key.clone());
        self.records.tasks.spawn(async move {
            if let Err(error) = storage.delete(&key).await {
                debug!(%error, "record of a challenge cannot be removed; the daily check removes it");
            }
        });
    }
}

impl ChallengeRecords {
    /// Keeps records in `storage`, and removes them in `tasks`, for which the end of the process waits.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, tasks: Tasks) -> Self {
        Self {
            storage,
            tasks,
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }

    /// Stores the record of the challenge that the CA asks for by `asked`. Where storage fails, this process alone can answer.
    pub(super) async fn add(
        &self,
        kind: &ChallengeType,
        asked: &str,
        record: &ChallengeRecord,
    ) -> StoredChallenge {
        let key = key(kind, asked);
        let json = serde_json::to_vec_pretty(record).unwrap_or_default();
        if let Err(error) = self.storage.store(&key, &json).await {
            warn!(%error, "challenge cannot be shared with other processes");
        }
        StoredChallenge {
            records: self.clone(),
            key,
        }
    }

    /// Returns the record of the challenge that the CA asks for by `asked`, if another process has presented it.
    pub(super) async fn find(&self, kind: &ChallengeType, asked: &str) -> Option<ChallengeRecord> {
        if asked.is_empty() || asked.len() > LONGEST {
            return None;
        }
        let _permit = self.lookups.acquire().await.ok()?;
        match self.storage.load(&key(kind, asked)).await {
            Ok(json) => serde_json::from_slice(&json?).ok(),
            Err(error) => {
                debug!(%error, "record of a challenge cannot be read");
                None
            }
        }
    }

    /// Removes the records that killed processes have left. Returns their number.
    pub(crate) async fn remove_stale(
        storage: &Arc<dyn Storage>,
        now: SystemTime,
    ) -> Result<usize, storage::Error> {
        let mut removed = 0;
        for kind in [ChallengeType::Http01, ChallengeType::TlsAlpn01] {
            let mut batches = storage.list(&Key::new(&[FOLDER, &kind.to_string()]));
            while let Some(batch) = batches.next().await {
                for key in batch? {
                    let record = storage.load(&key).await?;
                    if record.is_some_and(|json| is_stale(&json, now)) {
                        storage.delete(&key).await?;
                        removed += 1;
                    }
                }
            }
        }
        Ok(removed)
    }
}

/// `true` if a record is old, or cannot be read.
fn is_stale(json: &[u8], now: SystemTime) -> bool {
    let record: Result<ChallengeRecord, _> = serde_json::from_slice(json);
    record.map_or(true, |record| {
        unix(now).saturating_sub(record.since) > STALE.as_secs()
    })
}

fn key(kind: &ChallengeType, asked: &str) -> Key {
    Key::new(&[FOLDER, &kind.to_string(), asked])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileStorage;

    fn storage() -> (tempfile::TempDir, Arc<dyn Storage>) {
        let dir = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
        (dir, storage)
    }

    #[tokio::test]
    async fn another_process_finds_a_challenge_until_it_is_over() {
        let (_dir, storage) = storage();
        let tasks = Tasks::new();
        let one = ChallengeRecords::new(Arc::clone(&storage), tasks.clone());
        let other = ChallengeRecords::new(storage, Tasks::new());
        let ip = Identifier::Ip("192.0.2.1".parse().unwrap());
        let record = ChallengeRecord::new(Some(&ip), "token.print");
        let stored = one.add(&ChallengeType::TlsAlpn01, "asked", &record).await;

        let found = other
            .find(&ChallengeType::TlsAlpn01, "asked")
            .await
            .unwrap();
        assert_eq!(found.key_authorization, "token.print");
        assert_eq!(found.identifier(), Some(ip));
        assert!(other.find(&ChallengeType::Http01, "asked").await.is_none());
        for unknown in ["", "..", "x", &"x".repeat(LONGEST + 1)] {
            assert!(
                other
                    .find(&ChallengeType::TlsAlpn01, unknown)
                    .await
                    .is_none()
            );
        }

        drop(stored);
        tasks.drain(Duration::from_secs(10)).await;
        assert!(
            other
                .find(&ChallengeType::TlsAlpn01, "asked")
                .await
                .is_none()
        );
    }

    #[tokio::test]
    async fn records_of_killed_processes_are_removed_after_a_day() {
        let (_dir, storage) = storage();
        let records = ChallengeRecords::new(Arc::clone(&storage), Tasks::new());
        let record = ChallengeRecord::new(None, "token.print");
        std::mem::forget(records.add(&ChallengeType::Http01, "token", &record).await);
        let now = SystemTime::now();
        let removed = ChallengeRecords::remove_stale(&storage, now).await.unwrap();
        assert_eq!(removed, 0);
        let tomorrow = now + STALE + Duration::from_secs(2);
        let removed = ChallengeRecords::remove_stale(&storage, tomorrow).await;
        assert_eq!(removed.unwrap(), 1);
        assert!(
            records
                .find(&ChallengeType::Http01, "token")
                .await
                .is_none()
        );
    }
}
