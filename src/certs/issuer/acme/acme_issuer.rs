//! A CA over ACME: one account, kept, and one order per certificate.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tracing::{info, warn};
use url::Url;

use super::super::{Error, IssueRequest, Issuer, Pem, Revocation, RevocationSigner};
use super::account_keeper::{AccountKeeper, AccountParts};
use super::order_path::OrderPath;
use super::order_terms::OrderTerms;
use crate::acme::{CertificateKey, Options, ProblemKind};
use crate::certs::IssuerOptions;
use crate::certs::challenge::Http01Solver;
use crate::name::HostPattern;
use crate::storage::Storage;

/// How many orders are under way at one CA at once. Names of other issuers do not wait for them.
const PARALLEL_ORDERS: u32 = 4;

/// Orders certificates from one directory.
#[derive(Debug)]
pub struct AcmeIssuer {
    id: String,
    accounts: AccountKeeper,
    solver: Http01Solver,
    terms: OrderTerms,
    turns: Semaphore,
    staging: Option<Box<Self>>,
}

impl AcmeIssuer {
    /// An issuer that proves names with `solver`. Nothing is sent before the first order. `others` are the contacts of the
    /// other issuers with the same directory.
    pub fn new(
        options: &IssuerOptions,
        others: &[Option<String>],
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
        let staging = options.staging.as_ref().map(|directory| IssuerOptions {
            directory: directory.clone(),
            staging: None,
            // A twin has accounts, chains and profiles of its own.
            external_account: None,
            preferred_chain: None,
            ..options.clone()
        });
        let staging = staging.map(|twin| {
            Self::new(&twin, others, Arc::clone(&storage), solver.clone()).map(Box::new)
        });
        let has_root = root_pem.is_some();
        let id = directory_id(&options.directory);
        let parts = AccountParts {
            id: id.clone(),
            options: Options {
                root_pem,
                external_account: options.external_account.clone(),
                ..Options::new(options.directory.clone())
            },
            email: options.email.clone(),
            others: others.to_vec(),
        };
        let issuer = Self {
            accounts: AccountKeeper::new(parts, storage),
            id,
            solver,
            terms: OrderTerms {
                key_type: options.key_type,
                profile: options.profile.clone(),
                preferred_chain: options.preferred_chain.clone(),
            },
            turns: Semaphore::new(PARALLEL_ORDERS as usize),
            staging: staging.transpose()?,
        };
        if has_root {
            // A root that cannot be used is told at the start, not at the first order.
            issuer.accounts.client()?;
        }
        Ok(issuer)
    }

    async fn order(&self, subject: &HostPattern) -> Result<Pem, Error> {
        let account = self.accounts.account().await?;
        let path = OrderPath {
            account: &account,
            subject,
            terms: &self.terms,
        };
        path.run(&self.solver).await
    }
}

impl Issuer for AcmeIssuer {
    fn id(&self) -> &str {
        &self.id
    }

    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
        async move {
            let subject = request.subject;
            let _turn = self.turns.acquire().await;
            match self.order(subject).await {
                Err(error) if has_forgotten_account(&error) => {
                    warn!(issuer = %self.id, "the CA has forgotten the account, it is made anew");
                    self.accounts.forget().await?;
                    self.order(subject).await
                }
                outcome => outcome,
            }
        }
        .boxed()
    }

    fn staging(&self) -> Option<&dyn Issuer> {
        self.staging
            .as_deref()
            .map(|staging| staging as &dyn Issuer)
    }

    fn revoke<'a>(&'a self, revocation: Revocation<'a>) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let reason = revocation.reason;
            let leaf = revocation.certificate.leaf();
            match revocation.signer {
                RevocationSigner::Account => {
                    let account = self.accounts.account().await?;
                    account.revoke(leaf, reason).await?;
                }
                RevocationSigner::CertificateKey(pem) => {
                    let key = CertificateKey::from_pkcs8_pem(pem)?;
                    key.revoke(&*self.accounts.client()?, leaf, reason).await?;
                }
            }
            info!(
                issuer = %self.id, serial = revocation.certificate.serial(), %reason,
                "certificate revoked"
            );
            Ok(())
        }
        .boxed()
    }

    fn roll_account_key(&self) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            // All turns: an order that is under way would go on under the old key.
            let _turns = self.turns.acquire_many(PARALLEL_ORDERS).await;
            self.accounts.roll_key().await
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
