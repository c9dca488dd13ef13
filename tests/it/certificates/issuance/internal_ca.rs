//! Certificates of the internal CA, judged by others: OpenSSL and the verifier that applies the rules of
//! browsers.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::harness::ca::pki::{valid_for, verify_chain};
use crate::harness::proxy::{Proxy, ProxySetup};

const CONSTRAINED: &str = "[internal-ca]\nname-constraints = [\"home.arpa\", \"10.0.0.0/8\"]\n\
     [sites]\n\"nas.home.arpa\" = \"localhost:1\"\n\"10.1.2.3\" = \"localhost:1\"\n";
const DOMAIN_ONLY: &str =
    "[internal-ca]\nname-constraints = [\"home.arpa\"]\n[sites]\n\"home.arpa\" = \"localhost:1\"\n";

/// Waits for the record of a name.
async fn record(proxy: &mut Proxy, name: &str) -> PathBuf {
    proxy
        .logged(&format!("certificate obtained names={name} "))
        .await;
    let folder = proxy.data().join("certificates/internal");
    folder
        .join(name.replace(':', "%3A"))
        .join("certificate.pem")
}

/// Verifies the leaf of a PEM file as a server's with OpenSSL; the rest of the file serves as intermediates.
fn openssl_verifies(chain: &Path, root: &Path, name: &str) -> Result<(), String> {
    let as_what = match name.parse::<std::net::IpAddr>() {
        Ok(_) => "-verify_ip",
        Err(_) => "-verify_hostname",
    };
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver"])
        .args([as_what, name, "-no-CApath", "-no-CAstore", "-CAfile"])
        .arg(root)
        .arg("-untrusted")
        .args([chain, chain])
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[tokio::test]
async fn openssl_and_webpki_verify_the_chain() {
    for (proxyfile, names) in [
        (
            "[sites]\n\"localhost\" = \"localhost:1\"\n\"::1\" = \"localhost:1\"\n",
            ["localhost", "::1"],
        ),
        (CONSTRAINED, ["nas.home.arpa", "10.1.2.3"]),
    ] {
        let mut proxy = ProxySetup::new().proxyfile(proxyfile).start().await;
        let root = proxy.data().join("internal-ca/root.pem");
        for name in names {
            let record = record(&mut proxy, name).await;
            assert_eq!(openssl_verifies(&record, &root, name), Ok(()), "{name}");
            let chain = std::fs::read(&record).unwrap();
            verify_chain(&chain, &proxy.internal_root(), name).unwrap();
        }
    }
}

#[tokio::test]
async fn keys_are_stored_with_private_permissions() {
    let mut proxy = ProxySetup::new().proxyfile(CONSTRAINED).start().await;
    let record = record(&mut proxy, "nas.home.arpa").await;
    let folder = proxy.data().join("internal-ca");
    for file in [
        folder.join("root.key"),
        folder.join("intermediate.pem"),
        record,
    ] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

/// Writes a certificate for `name` that a thief signs with the intermediate's key.
fn stolen(data: &Path, name: &str) -> PathBuf {
    let pem = std::fs::read_to_string(data.join("internal-ca/intermediate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&pem, KeyPair::try_from(&key).unwrap()).unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    valid_for(&mut params, std::time::Duration::from_secs(3600));
    params.use_authority_key_identifier_extension = true;
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.distinguished_name = rcgen::DistinguishedName::new();
    let leaf = params
        .signed_by(&KeyPair::generate().unwrap(), &issuer)
        .unwrap();
    let path = data.join(format!("stolen-{}", name.replace(':', "-")));
    std::fs::write(&path, format!("{}{pem}", leaf.pem())).unwrap();
    path
}

#[tokio::test]
async fn a_constrained_root_is_not_trusted_outside_its_names() {
    for (proxyfile, within, outside) in [
        (
            CONSTRAINED,
            ["nas.home.arpa", "10.9.9.9"],
            ["www.example.org", "192.168.0.1"],
        ),
        (
            DOMAIN_ONLY,
            ["home.arpa", "x.home.arpa"],
            ["10.1.2.3", "::1"],
        ),
    ] {
        let mut proxy = ProxySetup::new().proxyfile(proxyfile).start().await;
        proxy.logged("certificate obtained").await;
        let (data, root) = (proxy.data(), proxy.internal_root());
        let root_file = data.join("internal-ca/root.pem");
        let verify = |name: &str| {
            let file = stolen(&data, name);
            let chain = std::fs::read(&file).unwrap();
            let by_webpki = verify_chain(&chain, &root, name).is_ok();
            (openssl_verifies(&file, &root_file, name), by_webpki)
        };
        for name in within {
            assert_eq!(verify(name), (Ok(()), true), "{name}");
        }
        for name in outside {
            let (by_openssl, by_webpki) = verify(name);
            let reason = by_openssl.unwrap_err();
            assert!(reason.contains("subtree violation"), "{name}: {reason}");
            assert!(!by_webpki, "{name}");
        }
    }
}

#[tokio::test]
async fn a_name_outside_the_constraints_is_refused_with_the_fix() {
    let text = format!("{CONSTRAINED}\"app.localhost\" = \"localhost:1\"\n");
    let mut proxy = ProxySetup::new().proxyfile(&text).start().await;
    let line = proxy.logged("certificate not obtained").await;
    let sentence = "may not sign for app.localhost, only for home.arpa, 10.0.0.0/8; add it to `name-constraints`, remove ";
    assert!(line.contains(sentence), "{line}");
}

#[tokio::test]
async fn an_existing_unconstrained_root_is_kept_and_logged() {
    let free = CONSTRAINED.replace("[internal-ca]\nname-constraints", "#");
    let proxy = ProxySetup::new().proxyfile(&free).start().await;
    let root = proxy.internal_root();
    let setup = proxy.stop().await;
    setup.file("Proxyfile", CONSTRAINED);
    let mut proxy = setup.start().await;
    let line = proxy.logged("keeps the name constraints").await;
    assert!(line.contains("`proxy trust --remove`"), "{line}");
    assert_eq!(proxy.internal_root(), root);
}
