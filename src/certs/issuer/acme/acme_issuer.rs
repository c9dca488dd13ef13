//! A CA over ACME: one account, kept, and one order per certificate.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::sync::Semaphore;
use tracing::warn;
use url::Url;

use super::super::{Error, IssueRequest, Issuer, Pem, Predecessor};
use super::account_keeper::AccountKeeper;
use crate::acme::{CertId, Identifier, Options, Order, ProblemKind, RenewalInfo};
use crate::certs::IssuerOptions;
use crate::certs::challenge::Http01Solver;
use crate::name::HostPattern;
use crate::storage::Storage;

/// How many orders are under way at one CA at once. Names of other issuers do not wait for them.
const PARALLEL_ORDERS: usize = 4;

/// Orders certificates from one directory.
#[derive(Debug)]
pub struct AcmeIssuer {
    id: String,
    accounts: AccountKeeper,
    solver: Http01Solver,
    turns: Semaphore,
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
        let id = directory_id(&options.directory);
        let protocol = Options {
            root_pem,
            ..Options::new(options.directory.clone())
        };
        let issuer = Self {
            accounts: AccountKeeper::new(id.clone(), protocol, contact, storage),
            id,
            solver,
            turns: Semaphore::new(PARALLEL_ORDERS),
        };
        if has_root {
            // A root that cannot be used is told at the start, not at the first order.
            issuer.accounts.client()?;
        }
        Ok(issuer)
    }

    /// The order path of RFC 8555 section 7.1: account, order, authorizations, CSR, certificate.
    async fn order(&self, request: IssueRequest<'_>) -> Result<Pem, Error> {
        let subject = request.subject;
        let account = self.accounts.account().await?;
        let identifier = Identifier::of_pattern(subject).ok_or(Error::NoSubject)?;
        let key = KeyPair::generate()?;
        let csr = signing_request(subject, &key)?;
        let own = |predecessor: &&Predecessor| predecessor.account == account.url();
        let mut order = match request.replaces.filter(own) {
            Some(former) => Order::replace(&account, &[identifier], &former.id).await?,
            None => Order::create(&account, &[identifier]).await?,
        };
        order.prove(&account, &self.solver).await?;
        order.finalize(&account, &csr).await?;
        let chain = order.certificate(&account).await?;
        let chain = String::from_utf8(chain).map_err(|_| Error::NotText)?;
        Ok(Pem::new(&chain, &key.serialize_pem()).ordered_by(account.url()))
    }
}

impl Issuer for AcmeIssuer {
    fn id(&self) -> &str {
        &self.id
    }

    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
        async move {
            let _turn = self.turns.acquire().await;
            match self.order(request).await {
                Err(error) if has_forgotten_account(&error) => {
                    warn!(issuer = %self.id, "the CA has forgotten the account, it is made anew");
                    self.accounts.forget().await?;
                    self.order(request).await
                }
                outcome => outcome,
            }
        }
        .boxed()
    }

    fn renewal_info<'a>(
        &'a self,
        id: &'a CertId,
    ) -> BoxFuture<'a, Result<Option<RenewalInfo>, Error>> {
        async move { Ok(RenewalInfo::of(&*self.accounts.client()?, id).await?) }.boxed()
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
