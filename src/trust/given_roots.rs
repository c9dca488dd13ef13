//! The certificates that an operator has given as roots. Those of CAs are believed for all that they sign, and each of them
//! for itself.

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::handshake_signatures::readable_key;
use super::old_certificate::OldCertificate;

/// Certificates that an operator has given as roots.
///
/// The library takes any certificate as a root. Here, only the certificate of a CA becomes one: the key of a server or a
/// client must not be able to sign for others.
#[derive(Clone, Debug)]
pub struct GivenRoots {
    all: Vec<CertificateDer<'static>>,
    authorities: RootCertStore,
}

impl GivenRoots {
    /// Sorts certificates into those of CAs and others. Fails if one of them can never be believed.
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let mut authorities = RootCertStore::empty();
        for certificate in &certificates {
            if is_authority(&parse(certificate)?) {
                authorities.add(certificate.clone())?;
            } else if let Some(old) = OldCertificate::read(certificate) {
                readable_key(&old.key)?;
            } else {
                ParsedCertificate::try_from(certificate)?;
            }
        }
        Ok(Self {
            all: certificates,
            authorities,
        })
    }

    /// Returns the certificates of CAs.
    pub(super) fn authorities(&self) -> &RootCertStore {
        &self.authorities
    }

    /// Whether there is no certificate at all.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a peer's certificate is one of them, byte for byte.
    pub(super) fn holds(&self, certificate: &CertificateDer<'_>) -> bool {
        self.all.iter().any(|given| given == certificate)
    }

    /// Returns the names, in DER, of which each certificate that is believed has one as its issuer.
    pub(super) fn issuers(&self) -> Vec<Vec<u8>> {
        let own = self.authorities.subjects().into_iter();
        let own = own.map(|subject| subject.as_ref().to_vec());
        let parsed = self.all.iter().filter_map(|der| parse(der).ok());
        let mut issuers: Vec<_> = own
            .chain(parsed.map(|it| it.issuer().as_raw().to_vec()))
            .collect();
        issuers.sort_unstable();
        issuers.dedup();
        issuers
    }
}

impl Default for GivenRoots {
    /// Returns no certificates.
    fn default() -> Self {
        Self {
            all: Vec::new(),
            authorities: RootCertStore::empty(),
        }
    }
}

/// Whether the certificate is a CA's (RFC 5280 section 6.1.4). Like OpenSSL, takes roots of version 1, and old roots that
/// say only by their key usage that they sign certificates.
fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    let Ok(usage) = certificate.key_usage() else {
        return false;
    };
    let signs = usage.map(|usage| usage.value.key_cert_sign());
    match certificate.basic_constraints() {
        Ok(Some(constraints)) => constraints.value.ca && signs != Some(false),
        Ok(None) => {
            let is_root = certificate.issuer() == certificate.subject();
            let is_old = certificate.version() == X509Version::V1;
            is_root && (is_old || signs == Some(true))
        }
        Err(_) => false,
    }
}

/// Checks the validity of a given certificate. The handshake itself proves that the peer has its key.
pub(super) fn check_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = parse(certificate)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < parsed.validity().not_before.timestamp() {
        Err(CertificateError::NotValidYet.into())
    } else if now > parsed.validity().not_after.timestamp() {
        Err(CertificateError::Expired.into())
    } else {
        Ok(())
    }
}

/// Checks that a given certificate is for the server. Old devices have their name only as common name, which is enough for
/// a certificate that an operator has given itself.
pub(super) fn check_name(
    certificate: &CertificateDer<'_>,
    server: &ServerName<'_>,
) -> Result<(), Error> {
    let parsed = parse(certificate)?;
    match parsed.subject_alternative_name() {
        Ok(None) if has_common_name(&parsed, &server.to_str()) => Ok(()),
        Ok(None) => Err(CertificateError::NotValidForNameContext {
            expected: server.to_owned(),
            presented: Vec::new(),
        }
        .into()),
        _ => verify_server_name(&ParsedCertificate::try_from(certificate)?, server),
    }
}

fn has_common_name(certificate: &X509Certificate<'_>, server: &str) -> bool {
    let mut names = certificate.subject().iter_common_name();
    names.any(|name| {
        name.as_str()
            .is_ok_and(|name| name.eq_ignore_ascii_case(server))
    })
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let parsed = X509Certificate::from_der(certificate);
    let parsed = parsed.map_err(|_| CertificateError::BadEncoding)?;
    Ok(parsed.1)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    };

    use super::*;

    fn params(is_ca: IsCa, usages: &[KeyUsagePurpose]) -> CertificateParams {
        let mut params = CertificateParams::new(vec!["nas.example.org".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "nas");
        params.is_ca = is_ca;
        params.key_usages = usages.to_vec();
        params
    }

    fn is_root(certificate: rcgen::Certificate) -> bool {
        let der = CertificateDer::from(certificate);
        let given = GivenRoots::new(vec![der.clone()]).unwrap();
        assert!(given.holds(&der), "each is believed itself");
        !given.authorities().is_empty()
    }

    #[test]
    fn only_the_certificate_of_a_ca_becomes_a_root() {
        let unbounded = || IsCa::Ca(BasicConstraints::Unconstrained);
        let (signs, serves) = (
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        );
        for (is_ca, usages, expected) in [
            (unbounded(), vec![], true),
            (unbounded(), vec![signs, serves], true),
            (unbounded(), vec![serves], false),
            (IsCa::NoCa, vec![], false),
            (IsCa::NoCa, vec![serves], false),
            (IsCa::NoCa, vec![signs], true),
            (IsCa::ExplicitNoCa, vec![], false),
            (IsCa::ExplicitNoCa, vec![signs], false),
        ] {
            let params = params(is_ca, &usages);
            let itself = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            assert_eq!(is_root(itself), expected, "{:?} {usages:?}", params.is_ca);
        }
        let mut other = params(unbounded(), &[]);
        other.distinguished_name.push(DnType::CommonName, "another");
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&other, &key);
        for (is_ca, usages, expected) in [
            (unbounded(), vec![], true),
            (IsCa::NoCa, vec![signs], false),
            (IsCa::NoCa, vec![], false),
        ] {
            let params = params(is_ca, &usages);
            let signed = params.signed_by(&KeyPair::generate().unwrap(), &issuer);
            assert_eq!(
                is_root(signed.unwrap()),
                expected,
                "{:?} {usages:?}",
                params.is_ca
            );
        }
    }
}
