//! Certificates that are believed themselves, because an operator has given them as roots.

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The roots that an operator has given.
#[derive(Clone, Debug, Default)]
pub(super) struct Pinned(Vec<CertificateDer<'static>>);

impl Pinned {
    pub(super) fn new(roots: &[CertificateDer<'static>]) -> Self {
        Self(roots.to_vec())
    }

    /// Whether a peer's certificate is one of them, byte for byte.
    pub(super) fn holds(&self, certificate: &CertificateDer<'_>) -> bool {
        self.0.iter().any(|pinned| pinned == certificate)
    }

    /// Returns the issuers of those that another CA has signed, in DER.
    pub(super) fn other_issuers(&self) -> Vec<Vec<u8>> {
        let parsed = self.0.iter().filter_map(|der| parse(der).ok());
        let foreign = parsed.filter(|it| it.issuer() != it.subject());
        foreign.map(|it| it.issuer().as_raw().to_vec()).collect()
    }
}

/// Checks the validity of a pinned certificate. The handshake itself proves that the peer has its key.
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

/// Checks that a pinned certificate is for the server. Old devices have their name only as common name, which is enough
/// for a certificate that an operator has given itself.
pub(super) fn check_name(
    certificate: &CertificateDer<'_>,
    server: &ServerName<'_>,
) -> Result<(), Error> {
    let by_alternative = verify_server_name(&ParsedCertificate::try_from(certificate)?, server);
    let parsed = parse(certificate)?;
    match parsed.subject_alternative_name() {
        Ok(None) if has_common_name(&parsed, &server.to_str()) => Ok(()),
        _ => by_alternative,
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
