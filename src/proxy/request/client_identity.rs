//! The certificate of a client, and the fields that tell the backend of it.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};

const VERIFIED: HeaderName = HeaderName::from_static("x-client-cert-verified");
const SUBJECT: HeaderName = HeaderName::from_static("x-client-cert-subject");
const FINGERPRINT: HeaderName = HeaderName::from_static("x-client-cert-fingerprint");
/// RFC 9440 section 2.2.
const CERTIFICATE: HeaderName = HeaderName::from_static("client-cert");

/// Digest of how clients are asked for certificates: the same for two sites that ask alike.
pub type ClientPolicy = [u8; 32];

/// A certificate that was verified, in the forms that the backend gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject as RFC 4514 writes it.
    pub subject: String,
    /// SHA-256 of the certificate in hexadecimal.
    pub fingerprint: String,
    /// The certificate in base64.
    pub base64: String,
}

/// The outcome of one handshake that asked for a certificate.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    policy: ClientPolicy,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl ClientIdentity {
    /// The identity of a client that was asked under `policy`. `None` is a client without a certificate where it needs none.
    #[must_use]
    pub fn new(policy: ClientPolicy, certificate: Option<ClientCertificate>) -> Self {
        let verified = HeaderValue::from_static(match certificate {
            Some(_) => "true",
            None => "false",
        });
        let mut fields = vec![(VERIFIED, verified)];
        if let Some(certificate) = certificate {
            let texts = [
                (SUBJECT, certificate.subject),
                (FINGERPRINT, certificate.fingerprint),
                (CERTIFICATE, format!(":{}:", certificate.base64)),
            ];
            let certified = texts
                .into_iter()
                .filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)));
            fields.extend(certified);
        }
        Self { policy, fields }
    }

    /// Policy under which the client was asked.
    #[must_use]
    pub fn policy(&self) -> &ClientPolicy {
        &self.policy
    }

    /// Sets the fields for the backend. What the client wrote under these names is gone already.
    pub(in crate::proxy) fn set_fields(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.fields {
            headers.insert(name.clone(), value.clone());
        }
    }
}
