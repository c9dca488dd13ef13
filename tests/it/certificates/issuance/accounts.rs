//! Accounts at a CA: external bindings, key rollover and contacts.

use proxy::acme::{AccountKey, ExternalAccount};
use proxy::certs::issuer::Issuer;
use proxy::certs::{IssuerOptions, Reach};

use super::scene::{Scene, issue};
use crate::harness::ca::pebble::PebbleOptions;

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
