//! Issuers: profiles, chains, kinds of keys, and failover to the next one.

use std::sync::Arc;

use proxy::certs::challenge::{Http01Solver, Http01Tokens, Solvers};
use proxy::certs::issuer::{AcmeIssuer, Error, IssueRequest, Issuer, RevocationSigner};
use proxy::certs::{AttemptCharges, Clock, IssuerOptions, KeyType, Reach};
use proxy::name::HostPattern;
use proxy::storage::{FileStorage, Storage};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::scene::{NAME, Scene, certificate, issue, revoke};
use crate::harness::admin::certs;
use crate::harness::backends::web_app::App;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::ca::pki::verify_chain;
use crate::harness::ca::scripted::{Fault, Reply, Script, ScriptedCa, Step};
use crate::harness::clients::https::Client;
use crate::harness::ports::Reservation;
use crate::harness::proxy::ProxySetup;
use crate::harness::skip::skip;

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
            charges: &AttemptCharges::free(),
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
            _ => panic!("{key_type:?}"),
        };
        assert_eq!(found, (kind, bits));
        // The certificate's own key can revoke it too.
        let issuer = scene.issuer(&options);
        let signer = RevocationSigner::CertificateKey(pem.as_str().as_bytes());
        revoke(&issuer, &certificate, signer).await.unwrap();
        let status = scene.pebble.revocation(certificate.serial()).await;
        assert_eq!(status["Status"], "Revoked", "{key_type:?}");
    }
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
