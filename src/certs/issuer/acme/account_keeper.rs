//! The account at one CA: kept over restarts, found again or made anew, under the key and with the contact that it should
//! have.

use std::sync::{Arc, OnceLock};

use tokio::sync::Mutex;
use tracing::{info, warn};
use url::Url;

use super::super::Error;
use super::account_records::{AccountRecord, AccountRecords, KeyRole};
use crate::acme::{self, Account, AccountKey, Client};
use crate::storage::Storage;

/// Keeps the account of one e-mail address at one CA.
#[derive(Debug)]
pub(super) struct AccountKeeper {
    /// What the operator calls the CA.
    name: String,
    options: acme::Options,
    client: OnceLock<Arc<Client>>,
    contact: Vec<String>,
    others: Vec<Option<String>>,
    records: AccountRecords,
    account: Mutex<Option<Arc<Account>>>,
}

/// Whose account is kept.
#[derive(Debug)]
pub(super) struct AccountParts {
    /// The CA's name in storage.
    pub(super) id: String,
    /// The CA.
    pub(super) options: acme::Options,
    /// The contact.
    pub(super) email: Option<String>,
}

impl AccountKeeper {
    /// A keeper of one account. Nothing is sent before it is asked for.
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

    /// The same at a CA that the operator calls so.
    pub(super) fn called(self, name: &str) -> Self {
        let name = name.to_owned();
        Self { name, ..self }
    }

    /// The same beside other accounts at the same CA with these contacts, which are none of its business.
    pub(super) fn beside(self, others: Vec<Option<String>>) -> Self {
        Self { others, ..self }
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

    /// Which of the accounts at the CA it is.
    pub(super) fn name(&self) -> &str {
        self.records.name()
    }

    pub(super) fn directory(&self) -> &Url {
        &self.options.directory
    }

    /// Whether the operator had to name the root of the CA's own HTTPS.
    pub(super) fn has_root(&self) -> bool {
        self.options.root_pem.is_some()
    }

    /// What was kept of the account, if one was. The CA is not asked.
    pub(super) async fn known(&self) -> Option<AccountRecord> {
        self.records.record().await.ok()?
    }

    /// Keeps what the CA calls itself in records that are set once, where it has told the account.
    pub(super) async fn keep_issuer_domain(&self, account: &Account) {
        let Some(domain) = account.issuer_domain() else {
            return;
        };
        if let Err(error) = self.store_issuer_domain(account, domain).await {
            warn!(issuer = %self.name, %error, "what the CA calls itself in DNS is not kept");
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

    /// The account: the one in use, else the one that was kept, else a new one.
    pub(super) async fn account(&self) -> Result<Arc<Account>, Error> {
        let mut slot = self.account.lock().await;
        if let Some(account) = slot.as_ref() {
            return Ok(Arc::clone(account));
        }
        let _lock = self.records.lock().await?;
        self.records.take_over(&self.others).await?;
        let account = Arc::new(match self.kept_account().await? {
            Some(account) => account,
            None => self.register().await?,
        });
        self.records.list_email().await?;
        *slot = Some(Arc::clone(&account));
        Ok(account)
    }

    async fn kept_account(&self) -> Result<Option<Account>, Error> {
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

    /// The key that the CA knows. Where the process has ended within a change of keys there are two, and the CA is asked.
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

    /// The contact only helps people: no certificate waits for it.
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

    /// Finds the account of a kept key, or makes one. The key is on disk before the CA sees it, so
    /// that a crash between the two leaves an account that is found again, not a second one.
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
            issuer_domain: self.known().await.and_then(|known| known.issuer_domain),
        };
        Ok(self.records.store_record(&record).await?)
    }

    async fn new_account(&self, key: AccountKey) -> Result<Account, Error> {
        Ok(Account::register(self.client()?, key, &self.contact).await?)
    }

    /// Forgets an account that the CA no longer knows; its key is registered again.
    pub(super) async fn forget(&self) -> Result<(), Error> {
        let mut slot = self.account.lock().await;
        self.records.delete_record().await?;
        *slot = None;
        Ok(())
    }

    /// Puts a new key in the place of the account's (RFC 8555 section 7.3.5). It is on disk before the CA sees it, so that
    /// after a crash at any moment the key that the CA knows is there. No order may be under way: it would go on under the
    /// old key.
    pub(super) async fn roll_key(&self) -> Result<(), Error> {
        let former = self.account().await?;
        let mut slot = self.account.lock().await;
        let _lock = self.records.lock().await?;
        let new = AccountKey::generate()?;
        let thumbprint = new.thumbprint().to_owned();
        self.records.store_key(KeyRole::Next, &new).await?;
        // Until it is known which key holds nobody goes on under the old one.
        *slot = None;
        let account = match former.change_key(new).await {
            Ok(account) => {
                self.promote(account.key()).await?;
                account
            }
            Err(error) => {
                let settled = self.kept_account().await.ok().flatten().map(Arc::new);
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
