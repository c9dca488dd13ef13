//! tls-alpn-01 (RFC 8737; RFC 8738 for IP addresses): the table of challenge certificates that the HTTPS listener presents
//! to the CA.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use dashmap::DashMap;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tracing::debug;

use super::challenge_records::{ChallengeRecord, ChallengeRecords};
use crate::acme::{ChallengeType, Identifier, KeyAuthorization, Presented, Solver, SolverError};
use crate::name::HostName;

/// Certificates of pending challenges, by the name that the CA asks for. `Debug` shows none of them.
#[derive(Default)]
pub struct TlsAlpn01Certificates {
    names: DashMap<String, Entry>,
    /// Those of other processes.
    records: Option<ChallengeRecords>,
}

struct Entry {
    certified: Arc<CertifiedKey>,
    seen: watch::Sender<bool>,
}

impl TlsAlpn01Certificates {
    /// Creates an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the certificate that proves a name whose challenge is pending, and tells the order that the CA has asked
    /// for it. The case of `sni` does not matter.
    #[must_use]
    pub fn answer(&self, sni: &str) -> Option<Arc<CertifiedKey>> {
        let entry = self.names.get(&sni.to_ascii_lowercase())?;
        entry.seen.send_replace(true);
        Some(Arc::clone(&entry.certified))
    }

    /// Creates an empty table that shares its challenges with other processes.
    #[must_use]
    pub fn shared(records: ChallengeRecords) -> Self {
        Self {
            records: Some(records),
            ..Self::default()
        }
    }

    /// Returns a certificate that proves a name whose challenge another process has presented. The case of `sni` does not
    /// matter.
    pub async fn answer_of_other(&self, sni: &str) -> Option<Arc<CertifiedKey>> {
        let (kind, asked) = (ChallengeType::TlsAlpn01, sni.to_ascii_lowercase());
        let record = self.records.as_ref()?.find(&kind, &asked).await?;
        let certified = certify(&record.identifier()?, &record.key_authorization);
        let failed = |error: &CertifyError| debug!(%error, "challenge cannot be presented");
        certified.inspect_err(failed).ok().map(Arc::new)
    }

    /// Presents a new certificate for `name` until the returned value is dropped, so that a probe can tell this process from
    /// others. Returns `None` while a challenge for the name is pending, which must not be disturbed.
    pub(crate) fn publish_probe(self: &Arc<Self>, name: &HostName) -> Option<TlsAlpn01Probe> {
        let certified = Arc::new(self_signed(name.as_str(), Vec::new()).ok()?);
        let name = name.as_str().to_owned();
        let (seen, _) = watch::channel(false);
        match self.names.entry(name.clone()) {
            dashmap::Entry::Occupied(_) => None,
            dashmap::Entry::Vacant(place) => {
                place.insert(Entry {
                    certified: Arc::clone(&certified),
                    seen,
                });
                Some(TlsAlpn01Probe {
                    certificates: Arc::clone(self),
                    name,
                    certified,
                })
            }
        }
    }

    /// Removes the certificate of a name. One that was published later stays.
    fn remove(&self, name: &str, certified: &Arc<CertifiedKey>) {
        let is_own = |_: &_, entry: &Entry| Arc::ptr_eq(&entry.certified, certified);
        self.names.remove_if(name, is_own);
    }

    /// Number of pending challenges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no challenge is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl fmt::Debug for TlsAlpn01Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAlpn01Certificates")
            .field("len", &self.len())
            .finish()
    }
}

/// Certificate of a probe, which is presented until this value is dropped.
#[derive(Debug)]
pub(crate) struct TlsAlpn01Probe {
    certificates: Arc<TlsAlpn01Certificates>,
    name: String,
    certified: Arc<CertifiedKey>,
}

impl TlsAlpn01Probe {
    /// Returns the certificate.
    pub(crate) fn leaf(&self) -> &CertificateDer<'static> {
        &self.certified.cert[0]
    }
}

impl Drop for TlsAlpn01Probe {
    fn drop(&mut self) {
        self.certificates.remove(&self.name, &self.certified);
    }
}

/// Reason why a challenge certificate could not be created.
#[derive(Debug, thiserror::Error)]
enum CertifyError {
    #[error("the challenge certificate could not be created: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the key of the challenge certificate cannot be used: {0}")]
    Key(#[from] rustls::Error),
}

/// Solves tls-alpn-01 challenges by publishing certificates in a table.
#[derive(Clone, Debug)]
pub struct TlsAlpn01Solver {
    certificates: Arc<TlsAlpn01Certificates>,
}

impl TlsAlpn01Solver {
    /// Creates a solver that publishes in `certificates`.
    #[must_use]
    pub fn new(certificates: Arc<TlsAlpn01Certificates>) -> Self {
        Self { certificates }
    }

    async fn publish(
        &self,
        identifier: &Identifier,
        key_authorization: &KeyAuthorization,
    ) -> Result<Presented, CertifyError> {
        let proof = key_authorization.as_str();
        let certified = Arc::new(certify(identifier, proof)?);
        let (seen, is_seen) = watch::channel(false);
        let name = server_name(identifier);
        let entry = Entry {
            certified: Arc::clone(&certified),
            seen,
        };
        self.certificates.names.insert(name.clone(), entry);
        let stored = match &self.certificates.records {
            Some(records) => {
                let record = ChallengeRecord::new(Some(identifier), proof);
                let kind = ChallengeType::TlsAlpn01;
                Some(records.add(&kind, &name, &record).await)
            }
            None => None,
        };
        let certificates = Arc::clone(&self.certificates);
        Ok(Presented::new(is_seen, move || {
            certificates.remove(&name, &certified);
            drop(stored);
        }))
    }
}

impl Solver for TlsAlpn01Solver {
    fn challenge_type(&self) -> ChallengeType {
        ChallengeType::TlsAlpn01
    }

    fn present<'a>(
        &'a self,
        identifier: &'a Identifier,
        _: &'a str,
        key_authorization: &'a KeyAuthorization,
    ) -> BoxFuture<'a, Result<Presented, SolverError>> {
        let presented = self.publish(identifier, key_authorization);
        presented.map_err(SolverError::new).boxed()
    }
}

/// Creates a self-signed certificate for this identifier only, with the digest of the key authorization in a critical
/// extension (RFC 8737 section 3).
fn certify(identifier: &Identifier, key_authorization: &str) -> Result<CertifiedKey, CertifyError> {
    let proof = digest(&SHA256, key_authorization.as_bytes());
    let proof = CustomExtension::new_acme_identifier(proof.as_ref());
    self_signed(&identifier.to_string(), vec![proof])
}

fn self_signed(name: &str, extensions: Vec<CustomExtension>) -> Result<CertifiedKey, CertifyError> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = extensions;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = any_supported_type(&PrivateKeyDer::Pkcs8(key.serialize_der().into()))?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

/// Returns the server name that the CA sends in its ClientHello: the name itself, or the reverse DNS name of an IP address
/// (RFC 8738 section 6).
fn server_name(identifier: &Identifier) -> String {
    match identifier {
        Identifier::Dns(name) => name.clone(),
        Identifier::Ip(IpAddr::V4(ip)) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Identifier::Ip(IpAddr::V6(ip)) => {
            let nibbles = ip.octets().into_iter().rev();
            let nibbles = nibbles.flat_map(|octet| [octet & 0xf, octet >> 4]);
            let labels: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            format!("{labels}ip6.arpa")
        }
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

    use super::*;
    use crate::acme::AccountKey;

    fn dns(name: &str) -> Identifier {
        Identifier::Dns(name.to_owned())
    }

    fn ip(text: &str) -> Identifier {
        Identifier::Ip(text.parse().unwrap())
    }

    fn proof(token: &str) -> KeyAuthorization {
        KeyAuthorization::new(token, &AccountKey::generate().unwrap())
    }

    #[tokio::test]
    async fn a_certificate_is_presented_while_its_challenge_is_pending_and_reports_the_request() {
        let table = Arc::new(TlsAlpn01Certificates::new());
        let solver = TlsAlpn01Solver::new(Arc::clone(&table));
        let name = dns("www.example.org");
        assert!(table.answer("www.example.org").is_none());

        let mut presented = solver.present(&name, "t", &proof("t")).await.unwrap();

        assert!(table.answer("example.org").is_none());
        assert!(presented.seen().now_or_never().is_none());
        assert!(table.answer("WWW.example.org").is_some());
        assert!(presented.seen().now_or_never().is_some());
        let later = solver.present(&name, "t", &proof("t")).await.unwrap();
        drop(presented);
        assert!(table.answer("www.example.org").is_some(), "the later one");
        drop(later);
        assert!(table.is_empty());
    }

    #[test]
    fn the_certificate_has_the_form_of_rfc_8737() {
        for name in [dns("www.example.org"), ip("192.0.2.1"), ip("2001:db8::1")] {
            let proof = proof("token");
            let certified = certify(&name, proof.as_str()).unwrap();
            let (_, certificate) = X509Certificate::from_der(&certified.cert[0]).unwrap();

            let names = certificate.subject_alternative_name().unwrap().unwrap();
            let [named] = &names.value.general_names[..] else {
                panic!("{names:?}");
            };
            match (&name, named) {
                (Identifier::Dns(name), GeneralName::DNSName(named)) => assert_eq!(name, named),
                (Identifier::Ip(IpAddr::V4(ip)), GeneralName::IPAddress(named)) => {
                    assert_eq!(ip.octets(), *named)
                }
                (Identifier::Ip(IpAddr::V6(ip)), GeneralName::IPAddress(named)) => {
                    assert_eq!(ip.octets(), *named)
                }
                _ => panic!("{name} is named {named}"),
            }
            let extensions = certificate.extensions().iter();
            let identifier = extensions
                .filter(|it| it.oid.to_id_string() == "1.3.6.1.5.5.7.1.31")
                .collect::<Vec<_>>();
            let [identifier] = identifier[..] else {
                panic!("{identifier:?}");
            };
            let digest = digest(&SHA256, proof.as_str().as_bytes());
            let octet_string = [&[4, 32], digest.as_ref()].concat();
            assert!(identifier.critical);
            assert_eq!(identifier.value, octet_string);
        }
    }

    #[test]
    fn an_address_has_its_reverse_dns_name_as_server_name() {
        assert_eq!(server_name(&ip("192.0.2.1")), "1.2.0.192.in-addr.arpa");
        assert_eq!(
            server_name(&ip("2001:db8::567:89ab")),
            "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }
}
