//! A CA over ACME: one account, kept, and one order per certificate.

use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore};
use tracing::{info, warn};
use url::Url;

use super::{Error, Issuer, Pem};
use crate::acme::{Account, AccountKey, Client, Identifier, Options, Order, ProblemKind};
use crate::certs::IssuerOptions;
use crate::certs::challenge::Http01Solver;
use crate::name::HostPattern;
use crate::storage::{Key, Storage};

/// How many orders are under way at one CA at once. Names of other issuers do not wait for them.
const PARALLEL_ORDERS: usize = 4;

/// Orders certificates from one directory.
#[derive(Debug)]
pub struct AcmeIssuer {
    id: String,
    options: Options,
    client: OnceLock<Arc<Client>>,
    contact: Vec<String>,
    storage: Arc<dyn Storage>,
    solver: Http01Solver,
    account: Mutex<Option<Arc<Account>>>,
    turns: Semaphore,
}

/// What is kept of an account beside its key.
#[derive(Debug, Serialize, Deserialize)]
struct AccountRecord {
    directory: Url,
    url: String,
    orders: Option<Url>,
    contact: Vec<String>,
}

impl AcmeIssuer {
    /// An issuer that proves names with `solver`. Nothing is sent before the first order.
    pub fn new(
        options: &IssuerOptions,
        storage: Arc<dyn Storage>,
        solver: Http01Solver,
    ) -> Result<Self, Error> {
        let root_pem = match &options.root {
            Some(path) => Some(std::fs::read(path).map_err(|source| Error::Root {
                path: path.display().to_string(),
                source,
            })?),
            None => None,
        };
        let contact = options
            .email
            .iter()
            .map(|email| format!("mailto:{email}"))
            .collect();
        let has_root = root_pem.is_some();
        let issuer = Self {
            id: directory_id(&options.directory),
            options: Options {
                root_pem,
                ..Options::new(options.directory.clone())
            },
            client: OnceLock::new(),
            contact,
            storage,
            solver,
            account: Mutex::new(None),
            turns: Semaphore::new(PARALLEL_ORDERS),
        };
        if has_root {
            // A root that cannot be used is told at the start, not at the first order.
            issuer.client()?;
        }
        Ok(issuer)
    }

    /// The client, made when it is first needed: it reads the system's roots, which a machine that
    /// only serves local names need not have.
    fn client(&self) -> Result<Arc<Client>, Error> {
        if let Some(client) = self.client.get() {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(Client::new(self.options.clone())?);
        Ok(Arc::clone(self.client.get_or_init(|| client)))
    }

    /// The order path of RFC 8555 section 7.1: account, order, authorizations, CSR, certificate.
    async fn order(&self, subject: &HostPattern) -> Result<Pem, Error> {
        let account = self.account().await?;
        let identifier = Identifier::of_pattern(subject).ok_or(Error::NoSubject)?;
        let key = KeyPair::generate()?;
        let csr = signing_request(subject, &key)?;
        let mut order = Order::create(&account, &[identifier]).await?;
        order.prove(&account, &self.solver).await?;
        order.finalize(&account, &csr).await?;
        let chain = order.certificate(&account).await?;
        let chain = String::from_utf8(chain).map_err(|_| Error::NotText)?;
        Ok(Pem::new(&chain, &key.serialize_pem()))
    }

    /// The account: the one in use, else the one that was kept, else a new one.
    async fn account(&self) -> Result<Arc<Account>, Error> {
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
    async fn forget_account(&self) -> Result<(), Error> {
        let mut slot = self.account.lock().await;
        self.storage
            .delete(&Key::new(&["accounts", &self.id, "account.json"]))
            .await?;
        *slot = None;
        Ok(())
    }
}

impl Issuer for AcmeIssuer {
    fn id(&self) -> &str {
        &self.id
    }

    fn issue<'a>(&'a self, subject: &'a HostPattern) -> BoxFuture<'a, Result<Pem, Error>> {
        async move {
            let _turn = self.turns.acquire().await;
            match self.order(subject).await {
                Err(error) if has_forgotten_account(&error) => {
                    warn!(issuer = %self.id, "the CA has forgotten the account, it is made anew");
                    self.forget_account().await?;
                    self.order(subject).await
                }
                outcome => outcome,
            }
        }
        .boxed()
    }
}

fn has_forgotten_account(error: &Error) -> bool {
    let Error::Acme(error) = error else {
        return false;
    };
    error
        .problem()
        .is_some_and(|problem| problem.kind == ProblemKind::AccountDoesNotExist)
}

/// A CSR for exactly `subject`, without a subject name (RFC 8555 section 7.4).
fn signing_request(subject: &HostPattern, key: &KeyPair) -> Result<Vec<u8>, Error> {
    let mut params = CertificateParams::new(vec![subject.to_string()])?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}

/// Host, port and path of a directory, so that staging and production never share a record.
fn directory_id(directory: &Url) -> String {
    let host = directory.host_str().unwrap_or_default();
    let port = directory
        .port()
        .map(|port| format!("-{port}"))
        .unwrap_or_default();
    let path = directory.path().trim_end_matches('/').replace('/', "-");
    format!("{host}{port}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directory_has_records_of_its_own() {
        for (directory, id) in [
            (
                "https://acme-v02.api.letsencrypt.org/directory",
                "acme-v02.api.letsencrypt.org-directory",
            ),
            ("https://localhost:14000/dir", "localhost-14000-dir"),
            ("https://ca.example.com/acme/v2/", "ca.example.com-acme-v2"),
        ] {
            assert_eq!(directory_id(&directory.parse().unwrap()), id);
        }
    }
}
