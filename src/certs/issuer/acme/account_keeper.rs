//! The account at one CA: kept over restarts, found again or made anew.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tracing::info;
use url::Url;

use super::super::Error;
use crate::acme::{self, Account, AccountKey, Client};
use crate::storage::{Key, Storage};

/// What is kept of an account beside its key.
#[derive(Debug, Serialize, Deserialize)]
struct AccountRecord {
    directory: Url,
    url: String,
    orders: Option<Url>,
    contact: Vec<String>,
}

/// Keeps the one account of a CA.
#[derive(Debug)]
pub(super) struct AccountKeeper {
    id: String,
    options: acme::Options,
    client: OnceLock<Arc<Client>>,
    contact: Vec<String>,
    storage: Arc<dyn Storage>,
    account: Mutex<Option<Arc<Account>>>,
}

impl AccountKeeper {
    /// A keeper of the account that is stored under `id`. Nothing is sent before it is asked for.
    pub(super) fn new(
        id: String,
        options: acme::Options,
        contact: Vec<String>,
        storage: Arc<dyn Storage>,
    ) -> Self {
        Self {
            id,
            options,
            client: OnceLock::new(),
            contact,
            storage,
            account: Mutex::new(None),
        }
    }

    /// The client, made when it is first needed: it reads the system's roots, which a machine that
    /// only serves local names need not have.
    pub(super) fn client(&self) -> Result<Arc<Client>, Error> {
        if let Some(client) = self.client.get() {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(Client::new(self.options.clone())?);
        Ok(Arc::clone(self.client.get_or_init(|| client)))
    }

    pub(super) fn directory(&self) -> &Url {
        &self.options.directory
    }

    /// Whether the operator had to name the root of the CA's own HTTPS.
    pub(super) fn has_root(&self) -> bool {
        self.options.root_pem.is_some()
    }

    /// The URL of the account that was kept, if one was. The CA is not asked.
    pub(super) async fn known_url(&self) -> Option<String> {
        let key = Key::new(&["accounts", &self.id, "account.json"]);
        let json = self.storage.load(&key).await.ok()??;
        let record: AccountRecord = serde_json::from_slice(&json).ok()?;
        Some(record.url)
    }

    /// The account: the one in use, else the one that was kept, else a new one.
    pub(super) async fn account(&self) -> Result<Arc<Account>, Error> {
        let mut slot = self.account.lock().await;
        if let Some(account) = slot.as_ref() {
            return Ok(Arc::clone(account));
        }
        let folder = Key::new(&["accounts", &self.id]);
        let _lock = self.storage.lock(&folder).await?;
        let account = Arc::new(match self.kept_account(&folder).await? {
            Some(account) => account,
            None => self.register(&folder).await?,
        });
        *slot = Some(Arc::clone(&account));
        Ok(account)
    }

    async fn kept_account(&self, folder: &Key) -> Result<Option<Account>, Error> {
        let record = self.storage.load(&folder.join("account.json")).await?;
        let record = record.and_then(|json| serde_json::from_slice::<AccountRecord>(&json).ok());
        let Some(record) = record else {
            return Ok(None);
        };
        let Some(key) = self.kept_key(folder).await? else {
            return Ok(None);
        };
        let client = self.client()?;
        Ok(Some(Account::restore(
            client,
            key,
            record.url,
            record.orders,
        )))
    }

    async fn kept_key(&self, folder: &Key) -> Result<Option<AccountKey>, Error> {
        let key = folder.join("account.key");
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

    /// Finds the account of a kept key, or makes one. The key is on disk before the CA sees it, so
    /// that a crash between the two leaves an account that is found again, not a second one.
    async fn register(&self, folder: &Key) -> Result<Account, Error> {
        let account = match self.kept_key(folder).await? {
            Some(key) => {
                let pem = key.to_pkcs8_pem()?;
                match Account::find(self.client()?, key).await? {
                    Some(account) => account,
                    None => self.new_account(AccountKey::from_pkcs8_pem(&pem)?).await?,
                }
            }
            None => {
                let key = AccountKey::generate()?;
                let pem = key.to_pkcs8_pem()?;
                self.storage
                    .store(&folder.join("account.key"), pem.as_bytes())
                    .await?;
                self.new_account(key).await?
            }
        };
        let record = AccountRecord {
            directory: self.options.directory.clone(),
            url: account.url().to_owned(),
            orders: account.orders_url().cloned(),
            contact: self.contact.clone(),
        };
        let json = serde_json::to_vec_pretty(&record).unwrap_or_default();
        self.storage
            .store(&folder.join("account.json"), &json)
            .await?;
        info!(issuer = %self.id, account_url = account.url(), "account ready");
        Ok(account)
    }

    async fn new_account(&self, key: AccountKey) -> Result<Account, Error> {
        Ok(Account::register(self.client()?, key, &self.contact).await?)
    }

    /// Forgets an account that the CA no longer knows; its key is registered again.
    pub(super) async fn forget(&self) -> Result<(), Error> {
        let mut slot = self.account.lock().await;
        self.storage
            .delete(&Key::new(&["accounts", &self.id, "account.json"]))
            .await?;
        *slot = None;
        Ok(())
    }
}
