//! Issuers and their accounts: external bindings, profiles, chains, kinds of keys, failover, key rollover, new contacts,
//! and revocation.

use std::sync::Arc;

use proxy::acme::{Account, AccountKey, Client as AcmeClient, ExternalAccount, Options};
use proxy::certs::challenge::{Http01Solver, Http01Tokens, Solvers};
use proxy::certs::issuer::{
    AcmeIssuer, Error, IssueRequest, Issuer, Pem, Revocation, RevocationReason, RevocationSigner,
};
use proxy::certs::{Certificate, Clock, IssuerOptions, KeyType, Reach, Spending};
use proxy::name::HostPattern;
use proxy::storage::{FileStorage, Storage};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::harness::admin::certs;
use crate::harness::backends::web_app::App;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::ca::pki::verify_chain;
use crate::harness::ca::scripted::{Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::ports::Reservation;
use crate::harness::proxy::ProxySetup;
use crate::harness::skip::skip;

const NAME: &str = "www.example.org";

/// A CA and the data directory of one machine.
struct Scene {
    pebble: Pebble,
    dir: TempDir,
}

impl Scene {
    async fn new(options: PebbleOptions) -> Self {
        Self {
            pebble: Pebble::start(options).await,
            dir: TempDir::new().unwrap(),
        }
    }

    fn options(&self) -> IssuerOptions {
        let root = self.dir.path().join("ca.pem");
        std::fs::write(&root, self.pebble.root_pem()).unwrap();
        IssuerOptions {
            root: Some(root),
            email: Some("ops@example.org".to_owned()),
            ..IssuerOptions::new("pebble".to_owned(), self.pebble.directory_url())
        }
    }

    /// Builds the issuer as a newly started process does.
    fn issuer(&self, options: &IssuerOptions) -> AcmeIssuer {
        let storage: Arc<dyn Storage> =
            Arc::new(FileStorage::open(&self.dir.path().join("data")).unwrap());
        let solver = Http01Solver::new(Arc::new(Http01Tokens::new()));
        let solvers = Solvers::new(vec![Arc::new(solver)]);
        AcmeIssuer::new(options, &[], storage, solvers).unwrap()
    }

    async fn issue(&self, options: &IssuerOptions) -> Result<Pem, Error> {
        issue(&self.issuer(options)).await
    }

    /// Folder of the account of `email`.
    fn account(&self, email: &str) -> std::path::PathBuf {
        let home = self.dir.path().join("data/accounts");
        let ca = std::fs::read_dir(home).unwrap().next().unwrap().unwrap();
        ca.path().join(email.replace('@', "%40"))
    }

    fn key(&self, email: &str) -> AccountKey {
        let pem = std::fs::read_to_string(self.account(email).join("account.key")).unwrap();
        AccountKey::from_pkcs8_pem(&pem).unwrap()
    }

    /// Asks the CA for the account of a key.
    async fn find(&self, key: AccountKey) -> Option<Account> {
        let mut options = Options::new(self.pebble.directory_url());
        options.root_pem = Some(self.pebble.root_pem().into_bytes());
        let client = Arc::new(AcmeClient::new(options).unwrap());
        Account::find(client, key).await.unwrap()
    }
}

async fn issue(issuer: &AcmeIssuer) -> Result<Pem, Error> {
    let subject = HostPattern::parse(NAME).unwrap();
    let issued = issuer
        .issue(IssueRequest {
            subject: &subject,
            spending: &Spending::free(),
            clock: Clock::system(),
            replaces: None,
        })
        .await;
    issuer.forget_order(&subject).await;
    issued
}

fn certificate(pem: &Pem) -> Certificate {
    Certificate::from_pem(pem.as_str().as_bytes()).unwrap()
}

#[tokio::test]
async fn an_account_is_bound_if_the_ca_requires_it() {
    const SECRET: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let scene = Scene::new(PebbleOptions {
        external_account: Some(("kid-1", SECRET)),
        ..PebbleOptions::trusting()
    })
    .await;
    let with = |key_id: &str, secret: &str| IssuerOptions {
        external_account: ExternalAccount::new(key_id.to_owned(), secret),
        ..scene.options()
    };

    let without = scene.issue(&scene.options()).await.unwrap_err();

    assert!(
        without.to_string().contains("set them as `eab`"),
        "{without}"
    );
    assert!(without.is_permanent());
    for (options, fix) in [
        (
            with("kid-2", SECRET),
            "; correct `key-id` in `eab` of the issuer, or --eab-key-id: the CA does not know `kid-2`",
        ),
        (
            with("kid-1", "c2VjcmV0MQ"),
            "; correct `hmac-key` in `eab` of the issuer, or --eab-hmac-key: it does not belong to `kid-1`",
        ),
    ] {
        let wrong = scene.issue(&options).await.unwrap_err();
        let sentence = wrong.to_string();
        assert!(
            sentence.starts_with("could not register the account: "),
            "{sentence}"
        );
        assert!(sentence.ends_with(fix), "{sentence}");
        assert!(wrong.is_permanent() && wrong.reach() == Reach::Nothing);
    }
    scene.issue(&with("kid-1", SECRET)).await.unwrap();
    // A stored account is bound already.
    scene.issue(&scene.options()).await.unwrap();
}

#[tokio::test]
async fn a_profile_is_requested_if_the_ca_offers_it() {
    let scene = Scene::new(PebbleOptions {
        profiles: &[("long", 90), ("short", 6)],
        ..PebbleOptions::trusting()
    })
    .await;
    let with = |profile: &str| IssuerOptions {
        profile: Some(profile.to_owned()),
        ..scene.options()
    };

    let missing = scene.issue(&with("none")).await.unwrap_err().to_string();

    assert!(missing.contains("offers no profile `none`"), "{missing}");
    if !scene.pebble.has_profiles() {
        skip("this Pebble has no profiles");
        return;
    }
    assert!(missing.ends_with("to long, short"), "{missing}");
    for (profile, days) in [("long", 90), ("short", 6)] {
        let certificate = certificate(&scene.issue(&with(profile)).await.unwrap());
        let lifetime = certificate
            .not_after()
            .duration_since(certificate.not_before());
        let lifetime = lifetime.unwrap().as_secs().div_ceil(24 * 3600);
        assert_eq!(lifetime, days, "{profile}");
    }
}

/// Orders under a profile at a CA with two of them; returns the lifetime of the certificate.
async fn under(profile: &str, refusal: Option<Reply>) -> (Error, usize) {
    let script = Script::new().profiles(&["classic", "shortlived"]);
    let script = match refusal {
        Some(refusal) => script.always(Step::NewOrder, Fault::Answer(refusal)),
        None => script,
    };
    let ca = ScriptedCa::start(script, 1).await;
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("ca.pem");
    std::fs::write(&root, ca.root_pem()).unwrap();
    let options = IssuerOptions {
        root: Some(root),
        profile: Some(profile.to_owned()),
        ..IssuerOptions::new("ca".to_owned(), ca.directory_url())
    };
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
    let solver = Http01Solver::new(Arc::new(Http01Tokens::new()));
    let solvers = Solvers::new(vec![Arc::new(solver)]);
    let issuer = AcmeIssuer::new(&options, &[], storage, solvers).unwrap();
    let error = issue(&issuer).await.unwrap_err();
    (error, ca.count(Step::NewOrder))
}

#[tokio::test]
async fn an_unknown_profile_is_an_error_that_lists_the_offered_ones() {
    let refusal = |status, kind, detail| Some(Reply::problem(status, kind, detail));
    for (profile, refusal, orders, sentence) in [
        (
            "tlsserver",
            None,
            0,
            "the CA offers no profile `tlsserver`; set `profile` of the issuer to classic, shortlived",
        ),
        (
            "shortlived",
            refusal(400, "invalidProfile", "not any more."),
            1,
            "the CA refuses the profile `shortlived`: not any more; \
             set `profile` of the issuer to classic, or remove it",
        ),
        (
            "shortlived",
            refusal(403, "unauthorized", "account 7 may not use Profile x"),
            1,
            "the CA refuses the profile `shortlived`: account 7 may not use Profile x; \
             set `profile` of the issuer to classic, or remove it",
        ),
    ] {
        let (error, placed) = under(profile, refusal).await;
        assert_eq!(error.to_string(), sentence);
        assert!(error.is_permanent() && error.reach() == Reach::Nothing);
        assert_eq!(placed, orders);
    }
}

#[tokio::test]
async fn a_refusal_for_another_reason_does_not_blame_the_profile() {
    let refusal = Reply::problem(403, "unauthorized", "the account is closed");
    let (error, _) = under("classic", Some(refusal)).await;
    assert!(matches!(error, Error::Acme(_)), "{error}");
}

#[tokio::test]
async fn an_address_gets_the_profile_for_addresses() {
    let scene = Scene::new(PebbleOptions {
        profiles: &[("default", 90), ("shortlived", 6)],
        ..PebbleOptions::trusting()
    })
    .await;
    let issuer = scene.issuer(&scene.options());
    let subject = HostPattern::parse("203.0.113.7").unwrap();

    let pem = issuer
        .issue(IssueRequest {
            subject: &subject,
            spending: &Spending::free(),
            clock: Clock::system(),
            replaces: None,
        })
        .await
        .unwrap();

    let certificate = certificate(&pem);
    assert_eq!(certificate.names(), [subject]);
    if !scene.pebble.has_profiles() {
        skip("this Pebble has no profiles");
        return;
    }
    let lifetime = certificate
        .not_after()
        .duration_since(certificate.not_before());
    assert!(lifetime.unwrap().as_secs() <= 6 * 24 * 3600);
}

fn common_name(pem: &str) -> String {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, root) = X509Certificate::from_der(&der).unwrap();
    let name = root.subject().iter_common_name().next().unwrap();
    name.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_preferred_chain_is_used_if_offered_else_the_default_one() {
    let scene = Scene::new(PebbleOptions {
        alternate_roots: 2,
        ..PebbleOptions::trusting()
    })
    .await;
    let mut chains = Vec::new();
    for number in 0..3 {
        chains.push(scene.pebble.root(number).await);
    }
    let names = chains.iter().map(|root| common_name(root));
    let names = names.chain(["Nobody's Root".to_owned()]);
    for (name, root) in names.zip([0, 1, 2, 0]) {
        let options = IssuerOptions {
            preferred_chain: Some(name.clone()),
            ..scene.options()
        };

        let pem = scene.issue(&options).await.unwrap();

        let chain = pem.as_str().as_bytes();
        for (index, other) in chains.iter().enumerate() {
            let verified = verify_chain(chain, other, NAME);
            assert_eq!(verified.is_ok(), index == root, "{name}: {index}");
        }
    }
}

#[tokio::test]
async fn a_key_is_of_the_configured_kind() {
    let scene = Scene::new(PebbleOptions::trusting()).await;
    for (key_type, kind, bits) in [
        (KeyType::P256, "ec", 256),
        (KeyType::P384, "ec", 384),
        (KeyType::Rsa2048, "rsa", 2048),
        (KeyType::Rsa4096, "rsa", 4096),
    ] {
        let options = IssuerOptions {
            key_type,
            ..scene.options()
        };

        let pem = scene.issue(&options).await.unwrap();

        let certificate = certificate(&pem);
        let (_, leaf) = X509Certificate::from_der(certificate.leaf()).unwrap();
        let found = match leaf.public_key().parsed().unwrap() {
            PublicKey::EC(point) => ("ec", point.key_size()),
            PublicKey::RSA(key) => ("rsa", key.key_size()),
            _ => panic!("{key_type}"),
        };
        assert_eq!(found, (kind, bits));
        // The certificate's own key can revoke it too.
        let issuer = scene.issuer(&options);
        let signer = RevocationSigner::CertificateKey(pem.as_str().as_bytes());
        revoke(&issuer, &certificate, signer).await.unwrap();
        let status = scene.pebble.revocation(certificate.serial()).await;
        assert_eq!(status["Status"], "Revoked", "{key_type}");
    }
}

async fn revoke(
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

#[tokio::test]
async fn an_account_revokes_its_certificate_and_a_second_time_is_no_error() {
    let scene = Scene::new(PebbleOptions::trusting()).await;
    let issuer = scene.issuer(&scene.options());
    let certificate = certificate(&issue(&issuer).await.unwrap());
    let serial = certificate.serial();
    let before = scene.pebble.revocation(serial).await;

    for _ in 0..2 {
        let signer = RevocationSigner::Account;
        revoke(&issuer, &certificate, signer).await.unwrap();
    }

    assert_eq!(before["Status"], "Valid");
    let status = scene.pebble.revocation(serial).await;
    assert_eq!(status["Status"], "Revoked");
    assert_eq!(status["Reason"], RevocationReason::Superseded.code());
}

#[tokio::test]
async fn a_key_of_another_certificate_cannot_revoke() {
    let scene = Scene::new(PebbleOptions::trusting()).await;
    let issuer = scene.issuer(&scene.options());
    let certificate = certificate(&issue(&issuer).await.unwrap());
    let other = issue(&issuer).await.unwrap();

    let signer = RevocationSigner::CertificateKey(other.as_str().as_bytes());
    let error = revoke(&issuer, &certificate, signer).await.unwrap_err();

    assert!(
        error.to_string().contains("revoke the certificate"),
        "{error}"
    );
    let status = scene.pebble.revocation(certificate.serial()).await;
    assert_eq!(status["Status"], "Valid");
}

const EMAIL: &str = "ops@example.org";

#[tokio::test]
async fn a_new_account_key_works_at_once_and_after_a_restart() {
    let scene = Scene::new(PebbleOptions::trusting()).await;
    let issuer = scene.issuer(&scene.options());
    issue(&issuer).await.unwrap();
    let (old, old_copy) = (scene.key(EMAIL), scene.key(EMAIL));
    let url = scene.find(old_copy).await.unwrap().url().to_owned();

    issuer.roll_account_key().await.unwrap();

    issue(&issuer).await.unwrap();
    scene.issue(&scene.options()).await.unwrap();
    let new = scene.find(scene.key(EMAIL)).await.unwrap();
    assert_ne!(new.key().thumbprint(), old.thumbprint());
    assert_eq!(new.url(), url);
    assert!(scene.find(old).await.is_none());
    assert!(!scene.account(EMAIL).join("account.next.key").exists());
}

#[tokio::test]
async fn a_crash_during_a_key_change_keeps_the_key_that_the_ca_knows() {
    let scene = Scene::new(PebbleOptions::trusting()).await;
    scene.issue(&scene.options()).await.unwrap();
    let next = scene.account(EMAIL).join("account.next.key");
    let new = AccountKey::generate().unwrap();
    let pem = new.to_pkcs8_pem().unwrap();
    let old = scene.key(EMAIL);

    // The CA has not seen the new key.
    std::fs::write(&next, &pem).unwrap();
    scene.issue(&scene.options()).await.unwrap();
    assert_eq!(scene.key(EMAIL).thumbprint(), old.thumbprint());
    assert!(!next.exists());

    // The CA has accepted it, but that is not stored.
    std::fs::write(&next, &pem).unwrap();
    let account = scene.find(old).await.unwrap();
    account.change_key(new).await.unwrap();
    scene.issue(&scene.options()).await.unwrap();
    let kept = scene.key(EMAIL).to_pkcs8_pem().unwrap();
    assert_eq!(kept, pem);
    assert!(!next.exists());
}

#[tokio::test]
async fn a_new_contact_is_sent_to_the_ca_and_another_contact_gets_an_account_of_its_own() {
    let scene = Scene::new(PebbleOptions::trusting()).await;
    scene.issue(&scene.options()).await.unwrap();
    let before = scene.find(scene.key(EMAIL)).await.unwrap();
    let moved = IssuerOptions {
        email: Some("new@example.org".to_owned()),
        ..scene.options()
    };

    scene.issue(&moved).await.unwrap();

    let after = scene.find(scene.key("new@example.org")).await.unwrap();
    assert_eq!(after.url(), before.url());
    assert_eq!(after.contact().await.unwrap(), ["mailto:new@example.org"]);
    assert!(!scene.account(EMAIL).join("account.key").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_working_ca_takes_over_from_a_failed_one_and_sites_choose() {
    let app = App::start().await;
    let pebble = Pebble::start(PebbleOptions::trusting()).await;
    let setup = ProxySetup::new();
    let root = setup.file("ca.pem", &pebble.root_pem());
    // The CA does not listen there any more.
    let dead = Reservation::new().address();
    let (app, root) = (app.address, root.display());
    let text = format!(
        r#"
        [[issuers]]
        directory = "https://{dead}/dir"
        root = "{root}"
        [[issuers]]
        directory = "{live}"
        root = "{root}"
        name = "live"
        [sites]
        "{NAME}" = "{app}"
        "corp.test" = {{ upstream = "{app}", issuer = "live" }}
        "own.example.org" = {{ upstream = "{app}", issuer = "internal" }}
        "#,
        live = pebble.directory_url()
    );

    let file = setup.file("Proxyfile", &text);
    let mut proxy = setup.proxyfile(&text).start().await;

    let line = proxy.logged("issuer failed, the next one is tried").await;
    assert!(line.contains("no connection to the CA"), "{line}");
    let client = Client::new(&pebble.issuance_root().await);
    for name in [NAME, "corp.test"] {
        assert_eq!(client.get(proxy.https(), name, "/").await.body, "hello");
    }
    let internal = proxy.client();
    internal.get(proxy.https(), "own.example.org", "/").await;
    let data = proxy.data();
    let shown = certs(&data, &["show", NAME]).await.out;
    assert!(shown.contains(", signed by live, "), "{shown}");
    let listed = certs(&data, &["list"]).await.out;
    assert_eq!(listed.matches("  live  ").count(), 2, "{listed}");
    assert!(!listed.contains("-dir"), "{listed}");
    // A certificate of another issuer than the first is found after a restart.
    let serial = client.serial(proxy.https(), NAME).await.unwrap();
    let mut proxy = proxy.stop().await.start().await;
    proxy.logged("certificate loaded").await;
    assert_eq!(client.serial(proxy.https(), NAME).await.unwrap(), serial);
    assert!(!proxy.log().contains("issuer failed"), "{}", proxy.log());
    let _setup = proxy.stop().await;
    let config = file.display().to_string();
    let stored = certs(&data, &["list", "--config", &config]).await.out;
    assert_eq!(stored.matches("  live  ").count(), 2, "{stored}");
}
