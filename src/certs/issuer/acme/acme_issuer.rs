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
use super::order_record::OrderRecords;
use crate::acme::{Options, ProblemKind, Solver};
use crate::certs::IssuerOptions;
use crate::certs::challenge::Solvers;
use crate::name::HostPattern;
use crate::storage::Storage;

/// How many orders are under way at one CA at once. Names of other issuers do not wait for them.
const PARALLEL_ORDERS: usize = 4;

/// Orders certificates from one directory.
#[derive(Debug)]
pub struct AcmeIssuer {
    id: String,
    accounts: AccountKeeper,
    orders: OrderRecords,
    solvers: Solvers,
    turns: Semaphore,
}

impl AcmeIssuer {
    /// An issuer that proves names with `solvers`. Nothing is sent before the first order.
    pub fn new(
        options: &IssuerOptions,
        storage: Arc<dyn Storage>,
        solvers: Solvers,
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
            orders: OrderRecords::new(id.clone(), Arc::clone(&storage)),
            accounts: AccountKeeper::new(id.clone(), protocol, contact, storage),
            id,
            solvers,
            turns: Semaphore::new(PARALLEL_ORDERS),
        };
        if has_root {
            // A root that cannot be used is told at the start, not at the first order.
            issuer.accounts.client()?;
        }
        Ok(issuer)
    }

    async fn order(&self, subject: &HostPattern) -> Result<Pem, Error> {
        let solvers = self.solvers_for(subject)?;
        let account = self.accounts.account().await?;
        let path = OrderPath {
            account: &account,
            records: &self.orders,
            subject,
        };
        path.run(solvers).await
    }

    /// The ways to prove `subject`, in the order in which they are tried.
    fn solvers_for(&self, subject: &HostPattern) -> Result<Vec<Arc<dyn Solver>>, Error> {
        let solvers = self.solvers.for_subject(subject);
        match (solvers.is_empty(), subject) {
            (false, _) => Ok(solvers),
            (true, HostPattern::Any) => Err(Error::NoSubject),
            (true, _) => Err(Error::NoSolver(subject.clone())),
        }
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

    fn settled<'a>(&'a self, subject: &'a HostPattern) -> BoxFuture<'a, ()> {
        self.orders.forget(subject).boxed()
    }
}

fn has_forgotten_account(error: &Error) -> bool {
    let problem = error.protocol().and_then(crate::acme::Error::problem);
    problem.is_some_and(|problem| problem.kind == ProblemKind::AccountDoesNotExist)
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
    use crate::certs::challenge::{Http01Solver, Http01Tokens};
    use crate::storage::FileStorage;

    #[tokio::test]
    async fn a_wildcard_without_dns_is_refused_before_the_ca_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let options = IssuerOptions {
            directory: "https://127.0.0.1:1/".parse().unwrap(),
            root: None,
            email: None,
        };
        let storage = Arc::new(FileStorage::open(dir.path()).unwrap());
        let http01 = Http01Solver::new(Arc::new(Http01Tokens::new()));
        let solvers = Solvers::new(vec![Arc::new(http01)]);
        let issuer = AcmeIssuer::new(&options, storage, solvers).unwrap();
        let subject = HostPattern::parse("*.example.org").unwrap();

        let error = issuer.issue(IssueRequest { subject: &subject }).await;

        let error = error.unwrap_err();
        assert!(error.is_permanent());
        assert!(
            error.to_string().contains("a wildcard needs dns-01"),
            "{error}"
        );
        assert!(!dir.path().join("accounts").exists());
    }

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
