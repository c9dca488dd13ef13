//! A certificate that can be served: chain, key and the fields of the leaf.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{GeneralName, ParsedExtension, X509Certificate};

use super::certificate_error::CertificateError;
use super::chain::Chain;
use super::flaw::Flaw;
use super::link::parse;
use super::private_key::PrivateKey;
use crate::acme::CertId;
use crate::certs::clock::{from_unix, unix};
use crate::name::{HostName, HostPattern};
use crate::pem;

/// Time by which the start of a certificate may lie in the future, because clocks differ slightly.
const CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Unix time of the last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// Certificate with chain and key. `Debug` does not show the key.
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    facts: Facts,
    /// Planned renewal, and next request for renewal information: Unix times, 0 for none.
    renewal: [AtomicU64; 2],
}

/// A certificate as it was read from its files.
#[derive(Debug)]
pub struct ReadPair {
    /// The certificate with its chain.
    pub certificate: Certificate,
    /// Everything that is wrong with it.
    pub flaws: Vec<Flaw>,
    /// Its key.
    pub key: PrivateKey,
    /// Number of certificates in the file of the chain.
    pub count: usize,
}

impl Certificate {
    /// Parses one PEM text with chain and key, like [`read_pair`](Self::read_pair).
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        Self::from_pem_pair(pem, pem)
    }

    /// Parses chain and key from two PEM texts, like [`from_pem`](Self::from_pem).
    pub fn from_pem_pair(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        Self::read_pair(chain, key).map(|read| read.certificate)
    }

    /// Parses chain and key from two PEM texts. The leaf is the certificate of the key, and its chain is built over the
    /// others, in whatever order they stand. Verifies neither names nor validity; see [`verify_for`](Self::verify_for).
    pub fn read_pair(chain: &[u8], key: &[u8]) -> Result<ReadPair, CertificateError> {
        let mut file = pem::certificates(chain)?;
        let count = file.len();
        let key = PrivateKey::first_for(&file, &pem::private_keys(key)?)?;
        let position = file.iter().position(|der| key.is_of(der));
        let leaf = file.remove(position.ok_or(CertificateError::KeyMismatch)?);
        let (certificate, flaws) = Self::build(leaf, file, &[], &key)?;
        Ok(ReadPair {
            certificate,
            flaws,
            key,
            count,
        })
    }

    /// Builds a certificate from its leaf, from the other certificates of its `file`, and from `others` that may belong to
    /// its chain.
    pub fn build(
        leaf: CertificateDer<'static>,
        file: Vec<CertificateDer<'static>>,
        others: &[CertificateDer<'static>],
        key: &PrivateKey,
    ) -> Result<(Self, Vec<Flaw>), CertificateError> {
        let parsed = parse(&leaf).ok_or(CertificateError::X509)?;
        let facts = Facts::read(&parsed)?;
        let mut flaws = Flaw::of_leaf(&parsed);
        drop(parsed);
        let chain = Chain::build(leaf, file, others);
        flaws.extend(chain.flaws);
        let certified = CertifiedKey::new(chain.certificates, key.signer());
        let certificate = Self {
            certified: Arc::new(certified),
            facts,
            renewal: Default::default(),
        };
        Ok((certificate, flaws))
    }

    /// Returns what is wrong with a chain as a peer presents it, leaf first.
    #[must_use]
    pub fn flaws_of(mut chain: Vec<CertificateDer<'static>>) -> Vec<Flaw> {
        if chain.is_empty() {
            return Vec::new();
        }
        let leaf = chain.remove(0);
        Chain::build(leaf, chain, &[]).flaws
    }

    /// Writes the chain as PEM, leaf first.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        pem::write_certificates(&self.certified.cert)
    }

    /// Returns the identifier at the CA (RFC 9773 section 4.1); `None` without an authority key identifier.
    #[must_use]
    pub fn id(&self) -> Option<CertId> {
        let leaf = parse(self.certified.cert.first()?)?;
        let authority_key =
            leaf.iter_extensions()
                .find_map(|extension| match extension.parsed_extension() {
                    ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.as_ref(),
                    _ => None,
                })?;
        Some(CertId::new(authority_key.0, leaf.raw_serial()))
    }

    /// Returns the planned time of renewal, if there is one.
    pub(crate) fn planned_renewal(&self) -> Option<SystemTime> {
        read(&self.renewal[0])
    }

    /// Plans the renewal.
    pub(crate) fn renew_at(&self, at: SystemTime) {
        self.renewal[0].store(unix(at).max(1), Ordering::Relaxed);
    }

    /// Returns the time of the next request for renewal information, if one is planned.
    pub(crate) fn next_question(&self) -> Option<SystemTime> {
        read(&self.renewal[1])
    }

    /// Plans the next request for renewal information.
    pub(crate) fn ask_at(&self, at: Option<SystemTime>) {
        self.renewal[1].store(at.map_or(0, unix), Ordering::Relaxed);
    }

    /// Returns an error unless the certificate is for `wanted` and valid at `now`.
    pub fn verify_for(
        &self,
        wanted: &HostPattern,
        now: SystemTime,
    ) -> Result<(), CertificateError> {
        let is_covered = match wanted {
            HostPattern::Exact(name) => self.covers(name),
            pattern => self.facts.names.contains(pattern),
        };
        if !is_covered {
            let names = self.facts.names.clone();
            return Err(CertificateError::Names {
                wanted: wanted.clone(),
                names,
            });
        }
        if now >= self.facts.not_after {
            return Err(CertificateError::Expired(self.facts.not_after));
        }
        if now + CLOCK_SKEW < self.facts.not_before {
            return Err(CertificateError::NotYetValid(self.facts.not_before));
        }
        Ok(())
    }

    /// Whether the certificate is for `name`.
    #[must_use]
    pub fn covers(&self, name: &HostName) -> bool {
        self.facts.names.iter().any(|pattern| pattern.matches(name))
    }

    /// Returns chain and key for the TLS server.
    #[must_use]
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// Returns the leaf certificate.
    #[must_use]
    pub fn leaf(&self) -> &CertificateDer<'static> {
        let leaf = self.certified.cert.first();
        leaf.expect("a certificate is only created from a chain with a leaf")
    }

    /// Returns the names in the leaf.
    #[must_use]
    pub fn names(&self) -> &[HostPattern] {
        &self.facts.names
    }

    /// Returns the serial number in hexadecimal.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.facts.serial
    }

    /// Returns the start of the validity.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.facts.not_before
    }

    /// Returns the end of the validity.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.facts.not_after
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("names", &self.facts.names)
            .field("serial", &self.facts.serial)
            .field(
                "not_after",
                &humantime::format_rfc3339_seconds(self.facts.not_after).to_string(),
            )
            .finish_non_exhaustive()
    }
}

struct Facts {
    names: Vec<HostPattern>,
    serial: String,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Facts {
    fn read(leaf: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let alternatives = leaf
            .subject_alternative_name()
            .map_err(|_| CertificateError::X509)?;
        let names = match alternatives {
            Some(extension) => {
                let names = extension.value.general_names.iter();
                names.filter_map(pattern).collect()
            }
            None => {
                let names = leaf.subject().iter_common_name();
                let names = names.filter_map(|name| name.as_str().ok());
                names
                    .filter_map(|name| HostPattern::parse(name).ok())
                    .collect()
            }
        };
        Ok(Self {
            names,
            serial: leaf
                .raw_serial()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            not_before: time(leaf.validity().not_before.timestamp()),
            not_after: time(leaf.validity().not_after.timestamp()),
        })
    }
}

fn read(time: &AtomicU64) -> Option<SystemTime> {
    let seconds = time.load(Ordering::Relaxed);
    (seconds > 0).then(|| from_unix(seconds))
}

/// Converts a name of the leaf. Returns `None` if it is not a host name, because no client can request it.
fn pattern(name: &GeneralName<'_>) -> Option<HostPattern> {
    match name {
        GeneralName::DNSName(name) => HostPattern::parse(name).ok(),
        GeneralName::IPAddress(octets) => {
            let ip = match octets.len() {
                4 => <[u8; 4]>::try_from(*octets).ok().map(IpAddr::from),
                16 => <[u8; 16]>::try_from(*octets).ok().map(IpAddr::from),
                _ => None,
            };
            ip.map(|ip| HostPattern::Exact(ip.into()))
        }
        _ => None,
    }
}

/// Converts a timestamp. Clamps it to the years 1970 to 9999, which can be printed.
fn time(timestamp: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(timestamp.clamp(0, LAST_SECOND).unsigned_abs())
}

/// Files of a certificate that the operator provides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsFiles {
    /// PEM file with the leaf first, then the intermediates.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    /// CA that signs any name for tests.
    pub(crate) struct TestCa {
        params: CertificateParams,
        key: KeyPair,
        pub(crate) pem: String,
    }

    impl TestCa {
        pub(crate) fn new() -> Self {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, "test root");
            let pem = params.self_signed(&key).unwrap().pem();
            Self { params, key, pem }
        }

        /// Signs a leaf and returns it with its key. `validity` is in seconds relative to now.
        pub(crate) fn sign(&self, names: &[&str], validity: std::ops::Range<i64>) -> String {
            let key = KeyPair::generate().unwrap();
            let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
            let mut params = CertificateParams::new(names).unwrap();
            let now = SystemTime::now();
            let at = |seconds: i64| {
                if seconds >= 0 {
                    now + Duration::from_secs(seconds.unsigned_abs())
                } else {
                    now - Duration::from_secs(seconds.unsigned_abs())
                }
            };
            params.use_authority_key_identifier_extension = true;
            params.not_before = at(validity.start).into();
            params.not_after = at(validity.end).into();
            let issuer = Issuer::from_params(&self.params, &self.key);
            let leaf = params.signed_by(&key, &issuer).unwrap();
            format!("{}{}", leaf.pem(), key.serialize_pem())
        }
    }

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[test]
    fn names_and_validity_are_read_from_the_leaf() {
        let pem = TestCa::new().sign(&["www.example.org", "*.example.net", "::1"], -60..3600);
        let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
        let names = ["www.example.org", "*.example.net", "::1"].map(pattern);
        assert_eq!(certificate.names(), names);
        let left = certificate
            .not_after()
            .duration_since(SystemTime::now())
            .unwrap();
        assert!((3590..=3600).contains(&left.as_secs()));
        assert!(certificate.covers(&HostName::parse("a.example.net").unwrap()));
        assert!(!certificate.covers(&HostName::parse("example.net").unwrap()));
    }

    #[test]
    fn a_certificate_is_verified_before_use() {
        let ca = TestCa::new();
        let wanted = pattern("www.example.org");
        let verify = |pem: String| {
            Certificate::from_pem(pem.as_bytes())?.verify_for(&wanted, SystemTime::now())
        };
        assert!(verify(ca.sign(&["www.example.org"], -60..60)).is_ok());
        assert!(verify(ca.sign(&["*.example.org"], -60..60)).is_ok());
        assert!(matches!(
            verify(ca.sign(&["other.example.org"], -60..60)),
            Err(CertificateError::Names { .. })
        ));
        assert!(matches!(
            verify(ca.sign(&["www.example.org"], -60..-1)),
            Err(CertificateError::Expired(_))
        ));
        assert!(
            verify(ca.sign(&["www.example.org"], 60..600)).is_ok(),
            "a small clock skew is accepted"
        );
        assert!(matches!(
            verify(ca.sign(&["www.example.org"], 3600..7200)),
            Err(CertificateError::NotYetValid(_))
        ));
        let key = KeyPair::generate().unwrap().serialize_pem();
        assert!(matches!(
            verify(key),
            Err(CertificateError::Pem(pem::Error::NoCertificate))
        ));
        assert!(matches!(
            verify(ca.pem),
            Err(CertificateError::Pem(pem::Error::NoKey))
        ));
    }

    #[test]
    fn a_date_before_the_epoch_can_be_printed() {
        const YEAR: i64 = 365 * 24 * 3600;
        let pem = TestCa::new().sign(&["www.example.org"], -70 * YEAR..-60 * YEAR);
        let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
        let refused = certificate.verify_for(&pattern("www.example.org"), SystemTime::now());
        assert!(refused.unwrap_err().to_string().contains("expired at 1970"));
        assert!(format!("{certificate:?}").contains("1970"));
    }

    #[test]
    fn a_key_of_another_pair_is_refused() {
        let ca = TestCa::new();
        let one = ca.sign(&["a.example"], -60..60);
        let other = ca.sign(&["a.example"], -60..60);
        let result = Certificate::from_pem_pair(one.as_bytes(), other.as_bytes());
        assert!(matches!(result, Err(CertificateError::KeyMismatch)));
    }

    #[test]
    fn only_the_chain_of_the_keys_own_certificate_is_served() {
        let ca = TestCa::new();
        let pem = ca.sign(&["a.example"], -60..60);
        for (file, flaws) in [
            (format!("{pem}{}", ca.pem), 0),
            (format!("{}{pem}", ca.pem), 0),
            (format!("{pem}{}{}", TestCa::new().pem, ca.pem), 1),
            (
                format!("{}{pem}{}", ca.sign(&["b.example"], -60..60), ca.pem),
                1,
            ),
        ] {
            let key = pem.as_bytes();
            let read = Certificate::read_pair(file.as_bytes(), key).unwrap();
            let (whole, found) = (read.certificate, read.flaws);
            assert_eq!(whole.certified_key().cert.len(), 1);
            assert_eq!(whole.names(), [pattern("a.example")]);
            assert_eq!(found.len(), flaws, "{found:?}");
        }
    }

    #[test]
    fn a_leaf_without_alternative_names_has_its_common_name() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let name = rcgen::DnType::CommonName;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(name, "nas.example.org");
        let pem = params.self_signed(&key).unwrap().pem();
        let key = key.serialize_pem();
        let read = Certificate::read_pair(pem.as_bytes(), key.as_bytes()).unwrap();
        let flaws = read.flaws;
        assert_eq!(read.certificate.names(), [pattern("nas.example.org")]);
        assert_eq!(flaws, [Flaw::CommonNameOnly]);
        assert!(flaws[0].concerns_clients());
    }

    #[test]
    fn must_staple_is_a_flaw() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        let oid = [1, 3, 6, 1, 5, 5, 7, 1, 24];
        let feature = rcgen::CustomExtension::from_oid_content(&oid, vec![0x30, 3, 2, 1, 5]);
        params.custom_extensions = vec![feature];
        let pem = params.self_signed(&key).unwrap().pem();
        let key = key.serialize_pem();
        let read = Certificate::read_pair(pem.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(read.flaws, [Flaw::MustStaple]);
    }

    #[test]
    fn debug_output_has_no_key() {
        let pem = TestCa::new().sign(&["a.example"], -60..60);
        let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
        let debug = format!("{certificate:?}");
        assert!(
            debug.contains("a.example") && !debug.to_lowercase().contains("key"),
            "{debug}"
        );
    }
}
