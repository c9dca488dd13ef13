//! A Pebble and the data directory of one machine, with issuers that use them.

use std::sync::Arc;

use proxy::acme::{Account, AccountKey, Client as AcmeClient, Options};
use proxy::certs::challenge::{Http01Solver, Http01Tokens, Solvers};
use proxy::certs::issuer::{
    AcmeIssuer, Error, IssueRequest, Issuer, Pem, Revocation, RevocationReason, RevocationSigner,
};
use proxy::certs::{AttemptCharges, Certificate, Clock, IssuerOptions};
use proxy::name::HostPattern;
use proxy::storage::{FileStorage, Storage};
use tempfile::TempDir;

use crate::harness::ca::pebble::{Pebble, PebbleOptions};

pub(super) const NAME: &str = "www.example.org";

/// A CA and the data directory of one machine.
pub(super) struct Scene {
    pub(super) pebble: Pebble,
    pub(super) dir: TempDir,
}

impl Scene {
    pub(super) async fn new(options: PebbleOptions) -> Self {
        Self {
            pebble: Pebble::start(options).await,
            dir: TempDir::new().unwrap(),
        }
    }

    pub(super) fn options(&self) -> IssuerOptions {
        let root = self.dir.path().join("ca.pem");
        std::fs::write(&root, self.pebble.root_pem()).unwrap();
        IssuerOptions {
            root: Some(root),
            email: Some("ops@example.org".to_owned()),
            ..IssuerOptions::new("pebble".to_owned(), self.pebble.directory_url())
        }
    }

    /// Builds the issuer as a newly started process does.
    pub(super) fn issuer(&self, options: &IssuerOptions) -> AcmeIssuer {
        let storage: Arc<dyn Storage> =
            Arc::new(FileStorage::open(&self.dir.path().join("data")).unwrap());
        let solver = Http01Solver::new(Arc::new(Http01Tokens::new()));
        let solvers = Solvers::new(vec![Arc::new(solver)]);
        AcmeIssuer::new(options, &[], storage, solvers).unwrap()
    }

    pub(super) async fn issue(&self, options: &IssuerOptions) -> Result<Pem, Error> {
        issue(&self.issuer(options)).await
    }

    /// Folder of the account of `email`.
    pub(super) fn account(&self, email: &str) -> std::path::PathBuf {
        let home = self.dir.path().join("data/accounts");
        let ca = std::fs::read_dir(home).unwrap().next().unwrap().unwrap();
        ca.path().join(email.replace('@', "%40"))
    }

    pub(super) fn key(&self, email: &str) -> AccountKey {
        let pem = std::fs::read_to_string(self.account(email).join("account.key")).unwrap();
        AccountKey::from_pkcs8_pem(&pem).unwrap()
    }

    /// Asks the CA for the account of a key.
    pub(super) async fn find(&self, key: AccountKey) -> Option<Account> {
        let mut options = Options::new(self.pebble.directory_url());
        options.root_pem = Some(self.pebble.root_pem().into_bytes());
        let client = Arc::new(AcmeClient::new(options).unwrap());
        Account::find(client, key).await.unwrap()
    }
}

pub(super) async fn issue(issuer: &AcmeIssuer) -> Result<Pem, Error> {
    let subject = HostPattern::parse(NAME).unwrap();
    let issued = issuer
        .issue(IssueRequest {
            subject: &subject,
            charges: &AttemptCharges::free(),
            clock: Clock::system(),
            replaces: None,
        })
        .await;
    issuer.forget_order(&subject).await;
    issued
}

pub(super) fn certificate(pem: &Pem) -> Certificate {
    Certificate::from_pem(pem.as_str().as_bytes()).unwrap()
}

pub(super) async fn revoke(
    issuer: &AcmeIssuer,
    certificate: &Certificate,
    signer: RevocationSigner<'_>,
) -> Result<(), Error> {
    let revocation = Revocation {
        certificate,
        reason: RevocationReason::Superseded,
        signer,
    };
    issuer.revoke(revocation).await
}
