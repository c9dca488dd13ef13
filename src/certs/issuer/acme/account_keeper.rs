//! The account at one CA: loads it from storage, finds it at the CA or registers it, and keeps its key and its contact up
//! to date.

use std::sync::{Arc, OnceLock};

use tokio::sync::Mutex;
use tracing::{info, warn};
use url::Url;

use super::super::Error;
use super::account_records::{AccountRecord, AccountRecords, KeyRole};
use crate::acme::{self, Account, AccountKey, Client};
use crate::storage::Storage;

/// Keeper of the account of one e-mail address at one CA.
#[derive(Debug)]
pub(super) struct AccountKeeper {
    /// Name of the issuer in the configuration.
    name: String,
    options: acme::Options,
    client: OnceLock<Arc<Client>>,
    contact: Vec<String>,
    /// E-mail addresses of the other accounts at the CA.
    others: Vec<Option<String>>,
    records: AccountRecords,
    account: Mutex<Option<Arc<Account>>>,
}

/// CA and e-mail address of an account.
#[derive(Debug)]
pub(super) struct AccountParts {
    /// Id of the CA in storage.
    pub(super) id: String,
    /// Connection to the CA.
    pub(super) options: acme::Options,
    /// Contact address.
    pub(super) email: Option<String>,
}

impl AccountKeeper {
    /// Creates the keeper of one account. Sends nothing yet.
    pub(super) fn new(parts: AccountParts, storage: Arc<dyn Storage>) -> Self {
        let AccountParts { id, options, email } = parts;
        let contact = email.iter().map(|email| format!("mailto:{email}"));
        Self {
            contact: contact.collect(),
            records: AccountRecords::new(storage, &id, email),
            name: id,
            options,
            client: OnceLock::new(),
            others: Vec::new(),
            account: Mutex::new(None),
        }
    }

    /// Sets the name of the issuer and the e-mail addresses of other issuers at the same CA, whose accounts this one must
    /// not take over.
    pub(super) fn configured(self, name: &str, others: &[Option<String>]) -> Self {
        Self {
            name: name.to_owned(),
            others: others.to_vec(),
            ..self
        }
    }

    /// Returns the client. It is created at the first use, because it reads the system roots, which a machine that serves
    /// only local names need not have.
    pub(super) fn client(&self) -> Result<Arc<Client>, Error> {
        if let Some(client) = self.client.get() {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(Client::new(self.options.clone())?);
        Ok(Arc::clone(self.client.get_or_init(|| client)))
    }

    /// Returns the name that distinguishes the account from others at the CA.
    pub(super) fn name(&self) -> &str {
        self.records.name()
    }

    pub(super) fn directory(&self) -> &Url {
        &self.options.directory
    }

    /// Whether the configuration names a root certificate for connections to the CA.
    pub(super) fn has_root(&self) -> bool {
        self.options.root_pem.is_some()
    }

    /// Returns the stored record of the account. Does not ask the CA.
    pub(super) async fn stored(&self) -> Option<AccountRecord> {
        self.records.record().await.ok()?
    }

    /// Stores the issuer domain name of the CA (draft-ietf-acme-dns-persist), if the CA has told it.
    pub(super) async fn keep_issuer_domain(&self, account: &Account) {
        let Some(domain) = account.issuer_domain() else {
            return;
        };
        if let Err(error) = self.store_issuer_domain(account, domain).await {
            warn!(issuer = %self.name, %error, "issuer domain name of the CA not stored");
        }
    }

    async fn store_issuer_domain(&self, account: &Account, domain: &str) -> Result<(), Error> {
        let _lock = self.records.lock().await?;
        match self.records.record().await? {
            Some(record) if record.url == account.url() => {
                let issuer_domain = Some(domain.to_owned());
                if record.issuer_domain == issuer_domain {
                    return Ok(());
                }
                let record = AccountRecord {
                    issuer_domain,
                    ..record
                };
                Ok(self.records.store_record(&record).await?)
            }
            _ => Ok(()),
        }
    }

    /// Returns the account: the one in use, otherwise the stored one, otherwise a new one.
    pub(super) async fn account(&self) -> Result<Arc<Account>, Error> {
        let mut slot = self.account.lock().await;
        if let Some(account) = slot.as_ref() {
            return Ok(Arc::clone(account));
        }
        let _lock = self.records.lock().await?;
        self.records.take_over(&self.others).await?;
        let account = Arc::new(match self.stored_account().await? {
            Some(account) => account,
            None => self.register().await?,
        });
        self.records.list_email().await?;
        *slot = Some(Arc::clone(&account));
        Ok(account)
    }

    async fn stored_account(&self) -> Result<Option<Account>, Error> {
        let Some(record) = self.records.record().await? else {
            return Ok(None);
        };
        let Some(key) = self.settled_key(&record).await? else {
            return Ok(None);
        };
        let AccountRecord { url, orders, .. } = record;
        let account = Account::restore(self.client()?, key, url, orders);
        if record.contact != self.contact {
            self.change_contact(&account).await?;
        }
        Ok(Some(account))
    }

    /// Returns the key that the CA knows. After a crash during a key change there are two keys, and the CA is asked.
    async fn settled_key(&self, record: &AccountRecord) -> Result<Option<AccountKey>, Error> {
        let Some(next) = self.records.key(KeyRole::Next).await? else {
            return self.records.key(KeyRole::Current).await;
        };
        let copy = AccountKey::from_pkcs8_pem(&next.to_pkcs8_pem()?)?;
        let found = Account::find(self.client()?, copy).await?;
        if found.is_some_and(|account| account.url() == record.url) {
            self.promote(&next).await?;
            Ok(Some(next))
        } else {
            self.records.delete_key(KeyRole::Next).await?;
            self.records.key(KeyRole::Current).await
        }
    }

    /// Updates the contact at the CA. A failure is only logged, because no certificate depends on it.
    async fn change_contact(&self, account: &Account) -> Result<(), Error> {
        match account.update_contact(&self.contact).await {
            Ok(()) => {
                info!(issuer = %self.name, account_url = account.url(), "contact of the account changed");
                self.store(account).await
            }
            Err(error) => {
                warn!(issuer = %self.name, error = %error.sentence(), "contact of the account not changed");
                Ok(())
            }
        }
    }

    /// Finds the account of a stored key, or registers a new account. The key is stored before the CA sees it, so that
    /// after a crash the same account is found again.
    async fn register(&self) -> Result<Account, Error> {
        let account = match self.records.key(KeyRole::Current).await? {
            Some(key) => {
                let pem = key.to_pkcs8_pem()?;
                match Account::find(self.client()?, key).await? {
                    Some(account) => account,
                    None => self.new_account(AccountKey::from_pkcs8_pem(&pem)?).await?,
                }
            }
            None => {
                let key = AccountKey::generate()?;
                self.records.store_key(KeyRole::Current, &key).await?;
                self.new_account(key).await?
            }
        };
        self.store(&account).await?;
        let directory = self.client()?.directory().await.ok();
        let terms = directory
            .as_ref()
            .and_then(|directory| directory.meta.terms_of_service.as_deref());
        info!(issuer = %self.name, account_url = account.url(), terms, "account ready");
        Ok(account)
    }

    async fn store(&self, account: &Account) -> Result<(), Error> {
        let record = AccountRecord {
            directory: self.options.directory.clone(),
            url: account.url().to_owned(),
            orders: account.orders_url().cloned(),
            contact: self.contact.clone(),
            issuer_domain: self.stored().await.and_then(|stored| stored.issuer_domain),
        };
        Ok(self.records.store_record(&record).await?)
    }

    async fn new_account(&self, key: AccountKey) -> Result<Account, Error> {
        Ok(Account::register(self.client()?, key, &self.contact).await?)
    }

    /// Forgets an account that the CA no longer knows. Its key is registered again at the next use.
    pub(super) async fn forget(&self) -> Result<(), Error> {
        let mut slot = self.account.lock().await;
        self.records.delete_record().await?;
        *slot = None;
        Ok(())
    }

    /// Replaces the account key (RFC 8555 section 7.3.5). The new key is stored before the CA sees it, so that storage
    /// always has the key that the CA knows. No order may be in progress, because it would continue with the old key.
    pub(super) async fn roll_key(&self) -> Result<(), Error> {
        let former = self.account().await?;
        let mut slot = self.account.lock().await;
        let _lock = self.records.lock().await?;
        let new = AccountKey::generate()?;
        let thumbprint = new.thumbprint().to_owned();
        self.records.store_key(KeyRole::Next, &new).await?;
        // Nobody may use the old key until it is certain which key is valid.
        *slot = None;
        let account = match former.change_key(new).await {
            Ok(account) => {
                self.promote(account.key()).await?;
                account
            }
            Err(error) => {
                let settled = self.stored_account().await.ok().flatten().map(Arc::new);
                slot.clone_from(&settled);
                return match settled {
                    Some(account) if account.key().thumbprint() == thumbprint => Ok(()),
                    _ => Err(error.into()),
                };
            }
        };
        info!(issuer = %self.name, account_url = account.url(), "account key changed");
        *slot = Some(Arc::new(account));
        Ok(())
    }

    async fn promote(&self, next: &AccountKey) -> Result<(), Error> {
        self.records.store_key(KeyRole::Current, next).await?;
        Ok(self.records.delete_key(KeyRole::Next).await?)
    }
}
