//! Backends with certificates that are older than X.509 version 3.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::super::tls::{FACTS, fingerprint};
use crate::harness::backends::nginx::Nginx;
use crate::harness::ca::pki::TestCa;
use crate::harness::proxy::ProxySetup;
use crate::harness::skip::skip;

/// Lets OpenSSL make a certificate of version 1 for this common name, with or without a CA. Returns it with its key; `None`
/// if this OpenSSL makes another version.
fn version_1(name: &str, by_ca: bool) -> Option<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |args: &str| {
        let mut command = std::process::Command::new("openssl");
        let output = command.args(args.split(' ')).current_dir(&dir).output();
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=vendor -keyout ca.key -out ca");
    openssl(&format!(
        "req -new -newkey rsa:2048 -nodes -subj /CN={name} -keyout k -out r"
    ));
    openssl(if by_ca {
        "x509 -req -in r -CA ca -CAkey ca.key -CAcreateserial -days 30 -out c"
    } else {
        "x509 -req -in r -signkey k -days 30 -out c"
    });
    let read = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let (certificate, key) = (read("c"), read("k"));
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
    if parsed.version() != x509_parser::x509::X509Version::V1 {
        skip("this OpenSSL makes no certificates of version 1");
        return None;
    }
    Some((certificate, key))
}

#[tokio::test]
async fn a_certificate_of_version_1_is_believed_if_it_is_given_and_told_if_not() {
    for (by_ca, protocol) in [(true, "TLSv1.2"), (true, "TLSv1.3"), (false, "TLSv1.3")] {
        let Some((certificate, key)) = version_1("localhost", by_ca) else {
            return;
        };
        let lines = format!("ssl_protocols {protocol}; {FACTS}");
        let nginx = Nginx::start_as((&certificate, &key), &lines).await;
        let text = |tls: &str| {
            format!(
                "[sites]\n\"localhost\" = {{ upstream = \"{}\", upstream-options = {{ tls = {{ {tls} }} }} }}\n",
                nginx.url()
            )
        };
        let setup = ProxySetup::new();
        setup.file("nas.pem", &certificate);
        setup.file("other.pem", &TestCa::root("another").pem());
        let mut proxy = setup.proxyfile(&text("root = \"nas.pem\"")).start().await;
        let answer = proxy.client().get(proxy.https(), "localhost", "/").await;
        assert_eq!(answer.status, 200, "{}", proxy.log());
        // Unverified, it works too: the backend still has to have the key.
        proxy.reload(&text("insecure = true")).await;
        let answer = proxy.client().get(proxy.https(), "localhost", "/").await;
        assert_eq!(answer.status, 200, "{}", proxy.log());

        proxy.reload(&text("root = \"other.pem\"")).await;
        let answer = proxy.client().get(proxy.https(), "localhost", "/").await;
        assert_eq!(answer.status, 502);
        let line = proxy.logged("cannot be verified").await;
        let fix = format!(
            "it has X.509 version 1, for which no root can vouch; if its SHA-256 is {}, save it as FILE and add `upstream-options = ",
            fingerprint(&certificate)
        );
        assert!(line.contains(&fix), "{line}");
    }
}
