//! The issuer for one ACME directory.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tracing::{info, warn};
use url::Url;

use super::super::{
    CaContact, CaaNames, Error, Inspection, IssueRequest, Issuer, Pem, RecordToSet, Revocation,
    RevocationSigner,
};
use super::account_keeper::{AccountKeeper, AccountParts};
use super::order_attempt::OrderAttempt;
use super::order_record::OrderRecords;
use super::order_terms::OrderTerms;
use crate::acme::{
    CertId, CertificateKey, ChallengeType, DnsPersistRecord, Identifier, Options, ProblemKind,
    RenewalInfo, Solver,
};
use crate::certs::budget::Limits;
use crate::certs::challenge::Solvers;
use crate::certs::issuer::acme_options::IssuerOptions;
use crate::certs::issuer::known_public_cas::{has_known_limits, is_public};
use crate::name::HostPattern;
use crate::storage::Storage;

/// Largest number of concurrent orders at one issuer. Issuers do not wait for each other.
const PARALLEL_ORDERS: u32 = 4;

/// Issuer that orders certificates from one ACME directory.
#[derive(Debug)]
pub struct AcmeIssuer {
    id: String,
    name: String,
    accounts: AccountKeeper,
    orders: OrderRecords,
    solvers: Solvers,
    terms: OrderTerms,
    slots: Semaphore,
    is_public: bool,
    has_known_limits: bool,
    staging: Option<Box<Self>>,
    /// Whether this is the staging issuer of another one.
    is_staging: bool,
}

impl AcmeIssuer {
    /// Creates an issuer that proves names with those `solvers` that its options allow. `others` are the contacts of the
    /// other issuers with the same directory. Sends nothing before the first order.
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
            // The staging environment has its own accounts and chains.
            external_account: None,
            preferred_chain: None,
            ..options.clone()
        });
        let staging = staging
            .map(|staging| Self::new(&staging, others, Arc::clone(&storage), solvers.clone()))
            .transpose()?
            .map(|staging| Self {
                is_staging: true,
                ..staging
            });
        let protocol = Options {
            root_pem,
            external_account: options.external_account.clone(),
            ..Options::new(options.directory.clone())
        };
        let issuer = Self::with_protocol(protocol, options.email.clone(), storage, solvers)?;
        Ok(Self {
            name: options.name.clone(),
            accounts: issuer.accounts.configured(&options.name, others),
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

    /// Creates an issuer with default order terms. `protocol` holds the directory and the time limits.
    pub fn with_protocol(
        protocol: Options,
        email: Option<String>,
        storage: Arc<dyn Storage>,
        solvers: Solvers,
    ) -> Result<Self, Error> {
        let has_root = protocol.root_pem.is_some();
        let is_public = is_public(&protocol.directory);
        let has_known_limits = has_known_limits(&protocol.directory);
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
            slots: Semaphore::new(PARALLEL_ORDERS as usize),
            is_public,
            has_known_limits,
            staging: None,
            is_staging: false,
        };
        if has_root {
            // Reports an unusable root at the start instead of at the first order.
            issuer.accounts.client()?;
        }
        Ok(issuer)
    }

    async fn order(&self, request: IssueRequest<'_>) -> Result<Pem, Error> {
        let subject = request.subject;
        self.solvers.remove_stale_challenges(subject).await;
        let solvers = self.solvers_for(subject)?;
        let account = self.accounts.account().await?;
        let path = OrderAttempt {
            account: &account,
            records: &self.orders,
            terms: &self.terms,
            request,
        };
        let outcome = path.run(solvers).await;
        self.accounts.keep_issuer_domain(&account).await;
        outcome
    }

    /// Whether dns-persist-01 may prove `subject`.
    fn may_use_persistent_record(&self, subject: &HostPattern) -> bool {
        let solvers = self.solvers.for_subject(subject);
        let mut types = solvers.iter().map(|solver| solver.challenge_type());
        types.any(|kind| kind == ChallengeType::DnsPersist01)
    }

    /// Returns the solvers for `subject`, in the order in which they are tried.
    fn solvers_for(&self, subject: &HostPattern) -> Result<Vec<Arc<dyn Solver>>, Error> {
        if self.is_staging && self.may_use_persistent_record(subject) {
            return Err(Error::OtherAccount);
        }
        let solvers = self.solvers.for_subject(subject);
        if !solvers.is_empty() {
            Ok(solvers)
        } else if *subject == HostPattern::Any {
            Err(Error::NoSubject)
        } else {
            Err(Error::NoSolver(subject.clone()))
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
        if self.has_known_limits {
            Limits::PUBLIC
        } else {
            Limits::PRIVATE
        }
    }

    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
        async move {
            let _slot = self.slots.acquire().await;
            match self.order(request).await {
                Err(error) if has_forgotten_account(&error) => {
                    warn!(issuer = %self.name, "the CA no longer knows the account; registering it again");
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
                if let Some(account) = issuer.accounts.stored().await {
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
            let account = self.accounts.stored().await.map(|stored| stored.url);
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

    fn contact(&self) -> BoxFuture<'_, Option<Result<CaContact, Error>>> {
        async move {
            let client = match self.accounts.client() {
                Ok(client) => client,
                Err(error) => return Some(Err(error)),
            };
            let contact = client.contact().await.map(|(_, skew)| CaContact {
                directory: self.accounts.directory().clone(),
                skew,
            });
            Some(contact.map_err(Error::from))
        }
        .boxed()
    }

    fn record_to_set<'a>(&'a self, subject: &'a HostPattern) -> BoxFuture<'a, Option<RecordToSet>> {
        async move {
            let identifier = Identifier::of_pattern(subject)?;
            if !self.may_use_persistent_record(subject) {
                return None;
            }
            let stored = self.accounts.stored().await;
            let record = stored.and_then(|stored| {
                let domain = stored.issuer_domain?;
                Some(DnsPersistRecord::new(&identifier, &domain, &stored.url))
            });
            Some(RecordToSet {
                issuer: self.name.clone(),
                name: DnsPersistRecord::owner(&identifier),
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
                    let key = CertificateKey::from_pem(pem)?;
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
            // Waits for all orders in progress, which would otherwise continue with the old key.
            let _slots = self.slots.acquire_many(PARALLEL_ORDERS).await;
            self.accounts.roll_key().await
        }
        .boxed()
    }
}

fn has_forgotten_account(error: &Error) -> bool {
    let problem = error.protocol().and_then(crate::acme::Error::problem);
    problem.is_some_and(|problem| problem.kind == ProblemKind::AccountDoesNotExist)
}

/// Returns an id from host, port and path of a directory, so that staging and production never share a record.
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
    use crate::certs::budget::AttemptCharges;
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
                charges: &AttemptCharges::free(),
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
    async fn a_persistent_record_is_not_tried_at_the_staging_issuer() {
        let dir = tempfile::tempdir().unwrap();
        let options = IssuerOptions {
            staging: Some("https://127.0.0.1:1/staging".parse().unwrap()),
            ..IssuerOptions::new("test".to_owned(), "https://127.0.0.1:1/".parse().unwrap())
        };
        let storage = Arc::new(FileStorage::open(dir.path()).unwrap());
        let solvers = Solvers::new(vec![Arc::new(PersistSolver)]);
        let issuer = AcmeIssuer::new(&options, &[], storage, solvers).unwrap();
        let subject = HostPattern::parse("*.example.org").unwrap();
        let charges = AttemptCharges::free();

        let rehearsal = issuer.staging().unwrap().issue(IssueRequest {
            subject: &subject,
            charges: &charges,
            clock: Clock::system(),
            replaces: None,
        });

        let error = rehearsal.await.unwrap_err();
        assert!(matches!(error, Error::OtherAccount), "{error}");
        assert_eq!(error.blame(), Blame::Ca, "production may still succeed");
        // The name of the record is known before the CA is asked, its value is not.
        let record = issuer.record_to_set(&subject).await.unwrap();
        assert_eq!(record.name, "_validation-persist.example.org");
        assert_eq!(record.value, None);
    }

    #[test]
    fn each_directory_has_its_own_id() {
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
