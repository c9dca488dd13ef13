//! The accounts at one CA in storage: one folder for each e-mail address.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use super::super::Error;
use crate::acme::AccountKey;
use crate::certs::budget::Budgets;
use crate::storage::{self, Key, Lock, Storage};

const RECORD: &str = "account.json";
const EMAILS: &str = "emails.json";

/// Folder of an account without an e-mail address. Cannot be an address, because it has no `@`.
const NO_EMAIL: &str = "no-email";

/// Stored data of an account, except its key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AccountRecord {
    pub(super) directory: Url,
    pub(super) url: String,
    pub(super) orders: Option<Url>,
    pub(super) contact: Vec<String>,
    /// Issuer domain name of the CA (draft-ietf-acme-dns-persist), once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) issuer_domain: Option<String>,
}

/// Role of an account key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyRole {
    /// Key that the CA knows.
    Current,
    /// New key during a key change; the CA may know it already.
    Next,
}

impl KeyRole {
    fn file(self) -> &'static str {
        match self {
            Self::Current => "account.key",
            Self::Next => "account.next.key",
        }
    }
}

/// Records of one account, including their move when the e-mail address changes.
#[derive(Debug)]
pub(super) struct AccountRecords {
    storage: Arc<dyn Storage>,
    budgets: Budgets,
    id: String,
    /// Folder of all accounts at the CA.
    ca_folder: Key,
    folder: Key,
    email: Option<String>,
}

impl AccountRecords {
    /// Opens the records of the account of `email` at the CA `id`.
    pub(super) fn new(storage: Arc<dyn Storage>, id: &str, email: Option<String>) -> Self {
        let ca_folder = Key::new(&["accounts", id]);
        Self {
            budgets: Budgets::new(Arc::clone(&storage)),
            storage,
            id: id.to_owned(),
            folder: folder(&ca_folder, email.as_ref()),
            ca_folder,
            email,
        }
    }

    /// Returns the name that distinguishes the account from others at the CA.
    pub(super) fn name(&self) -> &str {
        name(self.email.as_ref())
    }

    /// Locks all accounts at the CA against other processes.
    pub(super) async fn lock(&self) -> Result<Lock, storage::Error> {
        self.storage.lock(&self.ca_folder).await
    }

    pub(super) async fn record(&self) -> Result<Option<AccountRecord>, storage::Error> {
        self.record_in(&self.folder).await
    }

    async fn record_in(&self, folder: &Key) -> Result<Option<AccountRecord>, storage::Error> {
        let record = self.storage.load(&folder.join(RECORD)).await?;
        Ok(record.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    pub(super) async fn store_record(&self, record: &AccountRecord) -> Result<(), storage::Error> {
        let json = serde_json::to_vec_pretty(record).unwrap_or_default();
        self.storage.store(&self.folder.join(RECORD), &json).await
    }

    pub(super) async fn delete_record(&self) -> Result<(), storage::Error> {
        self.storage.delete(&self.folder.join(RECORD)).await
    }

    pub(super) async fn key(&self, role: KeyRole) -> Result<Option<AccountKey>, Error> {
        let key = self.folder.join(role.file());
        let Some(pem) = self.storage.load(&key).await? else {
            return Ok(None);
        };
        let parsed = AccountKey::from_pkcs8_pem(&String::from_utf8_lossy(&pem));
        let location = self.storage.location(&key);
        parsed.map(Some).map_err(|source| Error::Damaged {
            location,
            source: source.into(),
        })
    }

    pub(super) async fn store_key(&self, role: KeyRole, key: &AccountKey) -> Result<(), Error> {
        let pem = key.to_pkcs8_pem()?;
        let record = self.folder.join(role.file());
        Ok(self.storage.store(&record, pem.as_bytes()).await?)
    }

    pub(super) async fn delete_key(&self, role: KeyRole) -> Result<(), storage::Error> {
        self.storage.delete(&self.folder.join(role.file())).await
    }

    /// Adds the e-mail address to the list of those at the CA, so that the account is found after the address changes.
    pub(super) async fn list_email(&self) -> Result<(), storage::Error> {
        let mut emails = self.emails().await?;
        if !emails.contains(&self.email) {
            emails.push(self.email.clone());
            self.store_emails(&emails).await?;
        }
        Ok(())
    }

    /// If this e-mail address has no account, takes over the account of an address that is no longer configured. Other
    /// issuers still use the addresses `others`. Thus a changed address keeps its account and only changes the contact.
    pub(super) async fn take_over(&self, others: &[Option<String>]) -> Result<(), storage::Error> {
        if self.holds_key(&self.folder).await? {
            return Ok(());
        }
        // Older versions kept one account for each CA, in the folder of the CA.
        if let Some(record) = self.record_in(&self.ca_folder).await? {
            let email = record.contact.first().map(|contact| address(contact));
            if email == self.email || !others.contains(&email) {
                return self.move_from(&self.ca_folder, None).await;
            }
        }
        for email in self.emails().await? {
            let from = folder(&self.ca_folder, email.as_ref());
            if !others.contains(&email) && self.holds_key(&from).await? {
                return self.move_from(&from, Some(&email)).await;
            }
        }
        Ok(())
    }

    /// Moves an account. Copies before it deletes, so that a crash in between never loses the account.
    async fn move_from(
        &self,
        from: &Key,
        owner: Option<&Option<String>>,
    ) -> Result<(), storage::Error> {
        let current = KeyRole::Current.file();
        if let Some(email) = owner {
            let former = name(email.as_ref());
            let renamed = self.budgets.rename_account(&self.id, former, self.name());
            renamed.await?;
        }
        // The current key comes last, because an account counts as present once it has this key.
        let files = [KeyRole::Next.file(), RECORD, current];
        for file in files {
            if let Some(bytes) = self.storage.load(&from.join(file)).await? {
                self.storage.store(&self.folder.join(file), &bytes).await?;
            }
        }
        let mut emails = self.emails().await?;
        emails.retain(|email| Some(email) != owner && *email != self.email);
        emails.push(self.email.clone());
        self.store_emails(&emails).await?;
        for file in files {
            self.storage.delete(&from.join(file)).await?;
        }
        Ok(())
    }

    async fn holds_key(&self, folder: &Key) -> Result<bool, storage::Error> {
        let key = folder.join(KeyRole::Current.file());
        Ok(self.storage.load(&key).await?.is_some())
    }

    async fn emails(&self) -> Result<Vec<Option<String>>, storage::Error> {
        let emails = self.storage.load(&self.ca_folder.join(EMAILS)).await?;
        let emails = emails.and_then(|json| serde_json::from_slice(&json).ok());
        Ok(emails.unwrap_or_default())
    }

    async fn store_emails(&self, emails: &[Option<String>]) -> Result<(), storage::Error> {
        let json = serde_json::to_vec_pretty(emails).unwrap_or_default();
        self.storage
            .store(&self.ca_folder.join(EMAILS), &json)
            .await
    }
}

fn folder(ca_folder: &Key, email: Option<&String>) -> Key {
    ca_folder.join(name(email))
}

fn name(email: Option<&String>) -> &str {
    email.map_or(NO_EMAIL, String::as_str)
}

fn address(contact: &str) -> String {
    contact
        .strip_prefix("mailto:")
        .unwrap_or(contact)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileStorage;

    struct World {
        _dir: tempfile::TempDir,
        storage: Arc<dyn Storage>,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let storage = Arc::new(FileStorage::open(dir.path()).unwrap());
            Self { _dir: dir, storage }
        }

        fn records(&self, email: &str) -> AccountRecords {
            let email = (!email.is_empty()).then(|| email.to_owned());
            AccountRecords::new(Arc::clone(&self.storage), "ca", email)
        }

        /// Stores an account of `email` and returns its thumbprint.
        async fn account(&self, email: &str) -> String {
            let (records, key) = (self.records(email), AccountKey::generate().unwrap());
            records.store_key(KeyRole::Current, &key).await.unwrap();
            records.store_record(&record(email)).await.unwrap();
            records.list_email().await.unwrap();
            key.thumbprint().to_owned()
        }

        async fn thumbprint(&self, email: &str) -> Option<String> {
            let key = self.records(email).key(KeyRole::Current).await.unwrap();
            key.map(|key| key.thumbprint().to_owned())
        }
    }

    fn record(email: &str) -> AccountRecord {
        AccountRecord {
            directory: "https://ca.test/dir".parse().unwrap(),
            url: "https://ca.test/account/1".to_owned(),
            orders: None,
            contact: vec![format!("mailto:{email}")],
            issuer_domain: None,
        }
    }

    #[tokio::test]
    async fn each_address_has_its_own_account() {
        let world = World::new();
        let one = world.account("one@example.org").await;
        let other = world.account("").await;

        let taken = [Some("one@example.org".to_owned()), None];
        let records = world.records("new@example.org");
        records.take_over(&taken).await.unwrap();

        assert_eq!(world.thumbprint("one@example.org").await, Some(one));
        assert_eq!(world.thumbprint("").await, Some(other));
        assert_eq!(world.thumbprint("new@example.org").await, None);
    }

    #[tokio::test]
    async fn an_address_that_replaces_another_takes_over_its_account() {
        let world = World::new();
        let former = world.account("old@example.org").await;
        let spent = |email| Key::new(&["budgets", "ca", "accounts", &format!("{email}.json")]);
        let (key, one) = (spent("old@example.org"), br#"{"spent":[7]}"#);
        world.storage.store(&key, one).await.unwrap();

        let records = world.records("new@example.org");
        records.take_over(&[None]).await.unwrap();

        assert_eq!(world.thumbprint("new@example.org").await, Some(former));
        assert_eq!(world.thumbprint("old@example.org").await, None);
        let contact = records.record().await.unwrap().unwrap().contact;
        assert_eq!(
            contact,
            ["mailto:old@example.org"],
            "updated at the CA later"
        );
        let key = spent("new@example.org");
        let counted = world.storage.load(&key).await.unwrap();
        assert!(counted.is_some(), "the budget moves with the account");
        // The account is now listed under its new address only.
        world
            .records("third@example.org")
            .take_over(&[])
            .await
            .unwrap();
        assert_eq!(world.thumbprint("new@example.org").await, None);
    }

    #[tokio::test]
    async fn an_account_of_an_older_version_is_moved() {
        let world = World::new();
        let key = AccountKey::generate().unwrap();
        let home = Key::new(&["accounts", "ca"]);
        let json = serde_json::to_vec(&record("ops@example.org")).unwrap();
        let pem = key.to_pkcs8_pem().unwrap();
        for (file, bytes) in [
            ("account.json", json.as_slice()),
            ("account.key", pem.as_bytes()),
        ] {
            world.storage.store(&home.join(file), bytes).await.unwrap();
        }

        let records = world.records("ops@example.org");
        records.take_over(&[]).await.unwrap();

        let thumbprint = world.thumbprint("ops@example.org").await;
        assert_eq!(thumbprint.as_deref(), Some(key.thumbprint()));
        assert!(records.record().await.unwrap().is_some());
        let left = world.storage.load(&home.join("account.key")).await.unwrap();
        assert!(left.is_none());
    }
}
