//! Revocation by the account and by the key of the certificate.

use proxy::certs::issuer::{RevocationReason, RevocationSigner};

use super::scene::{Scene, certificate, issue, revoke};
use crate::harness::ca::pebble::PebbleOptions;

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
