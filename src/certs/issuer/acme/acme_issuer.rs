//! A CA over ACME: one account, kept, and one order per certificate.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tracing::{info, warn};
use url::Url;

use super::super::{
    CaaNames, Error, Inspection, IssueRequest, Issuer, Pem, RecordToSet, Revocation,
    RevocationSigner,
};
use super::account_keeper::{AccountKeeper, AccountParts};
use super::order_path::OrderPath;
use super::order_record::OrderRecords;
use super::order_terms::OrderTerms;
use super::public_directory::is_public;
use crate::acme::{
    CertId, CertificateKey, ChallengeType, Identifier, Options, PersistentRecord, ProblemKind,
    RenewalInfo, Solver,
};
use crate::certs::budget::Limits;
use crate::certs::challenge::Solvers;
use crate::certs::issuer::options::IssuerOptions;
use crate::name::HostPattern;
use crate::storage::Storage;

/// How many orders are under way at one CA at once. Names of other issuers do not wait for them.
const PARALLEL_ORDERS: u32 = 4;

/// Orders certificates from one directory.
#[derive(Debug)]
pub struct AcmeIssuer {
    id: String,
    name: String,
    accounts: AccountKeeper,
    orders: OrderRecords,
    solvers: Solvers,
    terms: OrderTerms,
    turns: Semaphore,
    is_public: bool,
    staging: Option<Box<Self>>,
    /// Whether it only rehearses the orders of another one.
    is_twin: bool,
}

impl AcmeIssuer {
    /// An issuer that proves names with those of `solvers` that its options allow. Nothing is sent before the first
    /// order. `others` are the contacts of the other issuers with the same directory.
    pub fn new(
        options: &IssuerOptions,
        others: &[Option<String>],
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
        let staging = options.staging.as_ref().map(|directory| IssuerOptions {
            name: format!("{}-staging", options.name),
            directory: directory.clone(),
            staging: None,
            // A twin has accounts, chains and profiles of its own.
            external_account: None,
            preferred_chain: None,
            ..options.clone()
        });
        let staging = staging
            .map(|twin| Self::new(&twin, others, Arc::clone(&storage), solvers.clone()))
            .transpose()?
            .map(|twin| Self {
                is_twin: true,
                ..twin
            });
        let protocol = Options {
            root_pem,
            external_account: options.external_account.clone(),
            ..Options::new(options.directory.clone())
        };
        let issuer = Self::over(protocol, options.email.clone(), storage, solvers)?;
        Ok(Self {
            name: options.name.clone(),
            accounts: issuer
                .accounts
                .beside(others.to_vec())
                .called(&options.name),
            solvers: issuer.solvers.restricted_to(&options.challenges),
            terms: OrderTerms {
                key_type: options.key_type,
                profile: options.profile.clone(),
                preferred_chain: options.preferred_chain.clone(),
            },
            staging: staging.map(Box::new),
            ..issuer
        })
    }

    /// An issuer with no terms and with a patience of its own: `protocol` says how long it waits for its CA.
    pub fn over(
        protocol: Options,
        email: Option<String>,
        storage: Arc<dyn Storage>,
        solvers: Solvers,
    ) -> Result<Self, Error> {
        let has_root = protocol.root_pem.is_some();
        let is_a_public_one = is_public(&protocol.directory);
        let id = directory_id(&protocol.directory);
        let parts = AccountParts {
            id: id.clone(),
            options: protocol,
            email,
        };
        let issuer = Self {
            orders: OrderRecords::new(id.clone(), Arc::clone(&storage)),
            accounts: AccountKeeper::new(parts, storage),
            name: id.clone(),
            id,
            solvers,
            terms: OrderTerms::default(),
            turns: Semaphore::new(PARALLEL_ORDERS as usize),
            // A root of its own is given for a stand-in or a private CA.
            is_public: !has_root && is_a_public_one,
            staging: None,
            is_twin: false,
        };
        if has_root {
            // A root that cannot be used is told at the start, not at the first order.
            issuer.accounts.client()?;
        }
        Ok(issuer)
    }

    async fn order(&self, request: IssueRequest<'_>) -> Result<Pem, Error> {
        let subject = request.subject;
        self.solvers.remove_stale_challenges(subject).await;
        let solvers = self.solvers_for(subject)?;
        let account = self.accounts.account().await?;
        let path = OrderPath {
            account: &account,
            records: &self.orders,
            terms: &self.terms,
            request,
        };
        let outcome = path.run(solvers).await;
        self.accounts.keep_issuer_domain(&account).await;
        outcome
    }

    /// Whether a record that the operator sets once may prove `subject`.
    fn proves_by_standing_record(&self, subject: &HostPattern) -> bool {
        let solvers = self.solvers.for_subject(subject);
        let mut types = solvers.iter().map(|solver| solver.challenge_type());
        types.any(|kind| kind == ChallengeType::DnsPersist01)
    }

    /// The ways to prove `subject`, in the order in which they are tried.
    fn solvers_for(&self, subject: &HostPattern) -> Result<Vec<Arc<dyn Solver>>, Error> {
        if self.is_twin && self.proves_by_standing_record(subject) {
            return Err(Error::OtherAccount);
        }
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

    fn name(&self) -> &str {
        &self.name
    }

    fn account(&self) -> &str {
        self.accounts.name()
    }

    fn is_public(&self) -> bool {
        self.is_public
    }

    fn limits(&self) -> Limits {
        if self.is_public {
            Limits::PUBLIC
        } else {
            Limits::PRIVATE
        }
    }

    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
        async move {
            let _turn = self.turns.acquire().await;
            match self.order(request).await {
                Err(error) if has_forgotten_account(&error) => {
                    warn!(issuer = %self.name, "the CA has forgotten the account, it is made anew");
                    self.accounts.forget().await?;
                    self.order(request).await
                }
                outcome => outcome,
            }
        }
        .boxed()
    }

    fn forget_order<'a>(&'a self, subject: &'a HostPattern) -> BoxFuture<'a, ()> {
        async move {
            let staging = self.staging.as_deref();
            for issuer in [Some(self), staging].into_iter().flatten() {
                if let Some(account) = issuer.accounts.known().await {
                    issuer.orders.forget(subject, &account.url).await;
                }
            }
        }
        .boxed()
    }

    fn remove_stale_challenges<'a>(&'a self, subject: &'a HostPattern) -> BoxFuture<'a, ()> {
        self.solvers.remove_stale_challenges(subject).boxed()
    }

    fn inspection(&self, subject: &HostPattern) -> Option<Inspection> {
        let solvers = self.solvers.for_subject(subject);
        Some(Inspection {
            directory: self.accounts.directory().clone(),
            has_root: self.accounts.has_root(),
            challenges: solvers
                .iter()
                .map(|solver| solver.challenge_type())
                .collect(),
        })
    }

    fn caa_names(&self) -> BoxFuture<'_, CaaNames> {
        async move {
            let account = self.accounts.known().await.map(|known| known.url);
            let directory = match self.accounts.client() {
                Ok(client) => client.directory().await.ok(),
                Err(_) => None,
            };
            let identities = directory.map(|directory| directory.meta.caa_identities.clone());
            CaaNames {
                identities: identities.unwrap_or_default(),
                account,
            }
        }
        .boxed()
    }

    fn record_to_set<'a>(&'a self, subject: &'a HostPattern) -> BoxFuture<'a, Option<RecordToSet>> {
        async move {
            let identifier = Identifier::of_pattern(subject)?;
            if !self.proves_by_standing_record(subject) {
                return None;
            }
            let known = self.accounts.known().await;
            let record = known.and_then(|known| {
                let domain = known.issuer_domain?;
                Some(PersistentRecord::new(&identifier, &domain, &known.url))
            });
            Some(RecordToSet {
                issuer: self.name.clone(),
                name: PersistentRecord::owner(&identifier),
                value: record.map(|record| record.value),
            })
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
                issuer = %self.name, serial = revocation.certificate.serial(), %reason,
                "certificate revoked"
            );
            Ok(())
        }
        .boxed()
    }

    fn renewal_info<'a>(
        &'a self,
        id: &'a CertId,
    ) -> BoxFuture<'a, Result<Option<RenewalInfo>, Error>> {
        async move { Ok(RenewalInfo::of(&*self.accounts.client()?, id).await?) }.boxed()
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
    use crate::acme::Blame;
    use crate::certs::budget::Spending;
    use crate::certs::challenge::{Http01Solver, Http01Tokens, PersistSolver};
    use crate::certs::clock::Clock;
    use crate::storage::FileStorage;

    #[tokio::test]
    async fn a_wildcard_without_dns_is_refused_before_the_ca_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let directory = "https://127.0.0.1:1/".parse().unwrap();
        let options = IssuerOptions::new("test".to_owned(), directory);
        let storage = Arc::new(FileStorage::open(dir.path()).unwrap());
        let http01 = Http01Solver::new(Arc::new(Http01Tokens::new()));
        let solvers = Solvers::new(vec![Arc::new(http01)]);
        let issuer = AcmeIssuer::new(&options, &[], storage, solvers).unwrap();
        let subject = HostPattern::parse("*.example.org").unwrap();

        let error = issuer
            .issue(IssueRequest {
                subject: &subject,
                spending: &Spending::free(),
                clock: Clock::system(),
                replaces: None,
            })
            .await;

        let error = error.unwrap_err();
        assert!(error.is_permanent());
        assert!(
            error.to_string().contains("a wildcard needs dns-01"),
            "{error}"
        );
        assert!(!dir.path().join("accounts").exists());
    }

    #[tokio::test]
    async fn a_record_that_names_the_account_is_not_rehearsed_at_the_twin() {
        let dir = tempfile::tempdir().unwrap();
        let options = IssuerOptions {
            staging: Some("https://127.0.0.1:1/staging".parse().unwrap()),
            ..IssuerOptions::new("test".to_owned(), "https://127.0.0.1:1/".parse().unwrap())
        };
        let storage = Arc::new(FileStorage::open(dir.path()).unwrap());
        let solvers = Solvers::new(vec![Arc::new(PersistSolver)]);
        let issuer = AcmeIssuer::new(&options, &[], storage, solvers).unwrap();
        let subject = HostPattern::parse("*.example.org").unwrap();
        let spending = Spending::free();

        let rehearsal = issuer.staging().unwrap().issue(IssueRequest {
            subject: &subject,
            spending: &spending,
            clock: Clock::system(),
            replaces: None,
        });

        let error = rehearsal.await.unwrap_err();
        assert!(matches!(error, Error::OtherAccount), "{error}");
        assert_eq!(error.blame(), Blame::Ca, "the order is placed for real");
        // What is to be set is known in part before the CA was asked.
        let record = issuer.record_to_set(&subject).await.unwrap();
        assert_eq!(record.name, "_validation-persist.example.org");
        assert_eq!(record.value, None);
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
