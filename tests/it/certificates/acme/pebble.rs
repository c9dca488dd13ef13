//! The ACME client against Pebble.

use std::sync::Arc;

use http::StatusCode;
use proxy::acme::{
    Account, AccountKey, Client, Error, Identifier, Options, Order, OrderStatus, Step,
};
use proxy::name::HostName;
use rcgen::KeyPair;

use crate::harness::ca::http01::Http01;
use crate::harness::ca::pebble::{Pebble, PebbleOptions};
use crate::harness::ca::pki::{csr, is_for_key, verify_chain};

/// A client of this Pebble.
fn client(pebble: &Pebble) -> Arc<Client> {
    let mut options = Options::new(pebble.directory_url());
    options.root_pem = Some(pebble.root_pem().into_bytes());
    Arc::new(Client::new(options).unwrap())
}

fn key() -> AccountKey {
    AccountKey::generate().unwrap()
}

async fn register(client: &Arc<Client>) -> Result<Account, Error> {
    let contact = ["mailto:ops@example.org".to_owned()];
    Account::register(Arc::clone(client), key(), &contact).await
}

fn identifiers(names: &[&str]) -> Vec<Identifier> {
    names
        .iter()
        .map(|name| Identifier::from(&HostName::parse(name).unwrap()))
        .collect()
}

/// Places an order and returns its chain and key.
async fn issue(
    account: &Account,
    solver: &Http01,
    names: &[&str],
) -> Result<(Vec<u8>, KeyPair), Error> {
    let mut order = Order::create(account, &identifiers(names)).await?;
    order.prove(account, solver).await?;
    let (csr, key) = csr(names);
    order.finalize(account, &csr).await?;
    Ok((order.certificate(account).await?, key))
}

#[tokio::test]
async fn a_certificate_for_names_and_an_address_chains_to_the_root() {
    let solver = Http01::start().await;
    let pebble = Pebble::start(PebbleOptions::new(solver.port())).await;
    let client = client(&pebble);
    let account = register(&client).await.unwrap();
    let names = ["www.example.org", "example.org", "127.0.0.1"];

    let (chain, key) = issue(&account, &solver, &names).await.unwrap();

    let root = pebble.issuance_root().await;
    for name in names {
        let leaf = verify_chain(&chain, &root, name).unwrap();
        assert!(is_for_key(&leaf, &key));
    }
    assert!(verify_chain(&chain, &root, "other.example.org").is_err());
    assert_eq!(solver.len(), 0, "challenges left behind");
    let directory = client.directory().await.unwrap();
    assert_eq!(directory.renewal_info.is_some(), pebble.has_renewal_info());
}

#[tokio::test]
async fn an_account_is_registered_once_found_by_its_key_and_restored() {
    let pebble = Pebble::start(PebbleOptions::new(1)).await;
    let client = client(&pebble);
    let pem = key().to_pkcs8_pem().unwrap();
    let key = || AccountKey::from_pkcs8_pem(&pem).unwrap();

    let absent = Account::find(Arc::clone(&client), key()).await.unwrap();
    let made = Account::register(Arc::clone(&client), key(), &[])
        .await
        .unwrap();
    let again = Account::register(Arc::clone(&client), key(), &[])
        .await
        .unwrap();
    let found = Account::find(Arc::clone(&client), key())
        .await
        .unwrap()
        .unwrap();
    let url = made.url().to_owned();
    let restored = Account::restore(client, key(), url, made.orders_url().cloned());

    assert!(absent.is_none());
    assert_eq!(again.url(), made.url());
    assert_eq!(found.url(), made.url());
    assert!(made.orders_url().is_some());
    let order = Order::create(&restored, &identifiers(&["a.example.org"]))
        .await
        .unwrap();
    let resumed = Order::resume(&found, order.url().clone()).await.unwrap();
    assert_eq!(*resumed.status(), OrderStatus::Pending);
    assert_eq!(resumed.identifiers(), identifiers(&["a.example.org"]));
}

#[tokio::test]
async fn an_order_that_does_not_exist_is_a_plain_404() {
    let pebble = Pebble::start(PebbleOptions::new(1)).await;
    let account = register(&client(&pebble)).await.unwrap();
    let url = pebble.directory_url().join("/my-order/nowhere").unwrap();

    let error = Order::resume(&account, url).await.unwrap_err();

    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    assert_eq!(
        error.sentence(),
        "could not read the order: the CA answered 404 Not Found with an empty body"
    );
}

/// Issues a certificate at a CA that refuses this percentage of good nonces. At 50, nine refusals in a row happen once in
/// fifty issuances; only then the issuance is tried again.
async fn issue_over_refusals(nonce_reject: u8) {
    let solver = Http01::start().await;
    let options = PebbleOptions::new(solver.port());
    let pebble = Pebble::start(PebbleOptions {
        nonce_reject,
        ..options
    })
    .await;
    let client = client(&pebble);
    for _ in 0..4 {
        let outcome = async {
            let account = register(&client).await?;
            issue(&account, &solver, &["nonces.example.org"]).await
        };
        match outcome.await {
            Ok((chain, _)) => {
                let root = pebble.issuance_root().await;
                verify_chain(&chain, &root, "nonces.example.org").unwrap();
                return;
            }
            Err(Error::Nonces { .. }) => (),
            Err(error) => panic!("{}", error.sentence()),
        }
    }
    panic!("never got over the refusals");
}

#[tokio::test]
async fn refused_nonces_are_retried() {
    issue_over_refusals(20).await;
    issue_over_refusals(50).await;
}

#[tokio::test]
async fn an_order_fails_at_a_ca_that_refuses_every_nonce() {
    let options = PebbleOptions::new(1);
    let pebble = Pebble::start(PebbleOptions {
        nonce_reject: 100,
        ..options
    })
    .await;

    let error = register(&client(&pebble)).await.unwrap_err();

    assert!(matches!(
        error,
        Error::Nonces {
            step: Step::NewAccount,
            count: 9
        }
    ));
    assert_eq!(
        error.sentence(),
        "could not register the account: the CA refused 9 fresh nonces in a row"
    );
}

#[tokio::test]
async fn a_proved_name_is_not_challenged_again() {
    let solver = Http01::start().await;
    let options = PebbleOptions::new(solver.port());
    let pebble = Pebble::start(PebbleOptions {
        authz_reuse: 100,
        ..options
    })
    .await;
    let account = register(&client(&pebble)).await.unwrap();
    let names = ["again.example.org"];
    issue(&account, &solver, &names).await.unwrap();
    drop(solver);

    let mut order = Order::create(&account, &identifiers(&names)).await.unwrap();
    assert_eq!(*order.status(), OrderStatus::Ready);
    order.prove(&account, &Http01::start().await).await.unwrap();
    order.finalize(&account, &csr(&names).0).await.unwrap();
    let chain = order.certificate(&account).await.unwrap();
    verify_chain(&chain, &pebble.issuance_root().await, names[0]).unwrap();
}

#[tokio::test]
async fn an_unreachable_name_fails_with_an_error_that_names_the_fix() {
    let pebble = Pebble::start(PebbleOptions::new(1)).await;
    let account = register(&client(&pebble)).await.unwrap();
    let solver = Http01::start().await;

    let error = issue(&account, &solver, &["down.example.org"])
        .await
        .unwrap_err();

    let sentence = error.sentence();
    assert!(sentence.contains("http://down.example.org/.well-known/acme-challenge/ on port 80"));
    assert!(sentence.ends_with("point down.example.org's DNS at this machine"));
    assert!(!error.is_permanent());
    assert_eq!(solver.len(), 0, "the challenge was left behind");
}
