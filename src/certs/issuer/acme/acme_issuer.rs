//! A CA over ACME: one account, kept, and one order per certificate.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tracing::warn;
use url::Url;

use super::super::{Error, IssueRequest, Issuer, Pem};
use super::account_keeper::AccountKeeper;
use super::order_path::OrderPath;
use crate::acme::{Options, ProblemKind};
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

    async fn order(&self, subject: &HostPattern) -> Result<Pem, Error> {
        let account = self.accounts.account().await?;
        let path = OrderPath {
            account: &account,
            subject,
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
