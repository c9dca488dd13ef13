//! The certificate of a client, and the fields by which the backend learns of it.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

const VERIFIED: HeaderName = HeaderName::from_static("x-client-cert-verified");
const SUBJECT: HeaderName = HeaderName::from_static("x-client-cert-subject");
const FINGERPRINT: HeaderName = HeaderName::from_static("x-client-cert-fingerprint");
/// Defined in RFC 9440 section 2.2.
const CERTIFICATE: HeaderName = HeaderName::from_static("client-cert");

/// Digest of the settings by which clients are asked for certificates. Sites with equal settings have equal digests.
pub type ClientPolicy = [u8; 32];

/// A verified certificate, in the forms that the backend gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Subject in the string form of RFC 4514.
    pub subject: String,
    /// SHA-256 hash of the certificate in hexadecimal.
    pub fingerprint: String,
    /// DER form of the certificate in base64.
    pub base64: String,
}

/// Outcome of a handshake in which the client was asked for a certificate.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    policy: ClientPolicy,
    is_verified: bool,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl ClientIdentity {
    /// Creates the identity of a client that was asked under `policy`. `certificate` is `None` if the client showed
    /// none and the site does not require one.
    #[must_use]
    pub fn new(policy: ClientPolicy, certificate: Option<ClientCertificate>) -> Self {
        let is_verified = certificate.is_some();
        let verified = HeaderValue::from_static(if is_verified { "true" } else { "false" });
        let mut fields = vec![(VERIFIED, verified)];
        if let Some(certificate) = certificate {
            let texts = [
                (SUBJECT, certificate.subject),
                (FINGERPRINT, certificate.fingerprint),
                (CERTIFICATE, format!(":{}:", certificate.base64)),
            ];
            let set = texts
                .into_iter()
                .filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)));
            fields.extend(set);
        }
        Self {
            policy,
            is_verified,
            fields,
        }
    }

    /// `true` if the client presented a certificate, which was then verified.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// Policy under which the client was asked.
    #[must_use]
    pub fn policy(&self) -> &ClientPolicy {
        &self.policy
    }

    /// Sets the fields for the backend. Call this after the client's own fields of these names are removed.
    pub(crate) fn set_fields(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.fields {
            headers.insert(name.clone(), value.clone());
        }
    }
}
