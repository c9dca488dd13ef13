//! Faults of the certificate of a backend, in words with the fix.

use std::borrow::Cow;

use crate::trust::UnknownCertificate;

/// Says what is wrong with a backend's certificate, and the fix.
pub(super) fn certificate_fix(error: &rustls::Error) -> Cow<'static, str> {
    if let Some(unknown) = UnknownCertificate::of(error) {
        let fingerprint = unknown.fingerprint();
        let save = format!(
            "if its SHA-256 is {fingerprint}, save it as FILE and add `upstream-options = {{ tls = {{ root = \"FILE\" }} }}`"
        );
        return match unknown.old_version() {
            Some(version) => {
                format!("it has X.509 version {version}, for which no root can vouch; {save}")
            }
            None => format!(
                "it is not signed by a trusted root; give its root in `upstream-options.tls.root`, or {save}"
            ),
        }
        .into();
    }
    let other = match error {
        rustls::Error::InvalidCertificate(_) => {
            "it cannot be used for a TLS server; give the backend another certificate"
        }
        _ => "check which certificate the backend sends",
    };
    known_fix(error).unwrap_or(other).into()
}

/// Returns what is wrong with a certificate and the fix, unless only the verifier knows the cause.
pub(super) fn known_fix(error: &rustls::Error) -> Option<&'static str> {
    use rustls::CertificateError as Bad;
    let rustls::Error::InvalidCertificate(error) = error else {
        return None;
    };
    Some(match error {
        Bad::UnknownIssuer | Bad::BadSignature => {
            "it is not signed by a trusted root; give its root in `upstream-options.tls.root`"
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "it is for another name; set `upstream-options.tls.sni` to that name"
        }
        Bad::Expired | Bad::ExpiredContext { .. } => "it has expired; renew it at the backend",
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "it is not valid yet; check the clocks of both machines"
        }
        _ => return None,
    })
}
