//! Flaws of a certificate that is served all the same, each as a sentence with its cure.

use std::fmt;

use rustls::pki_types::CertificateDer;
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::{X509Certificate, X509Name};

use super::link::parse;
use crate::printable::printable;

/// Most characters of a name in a certificate that are shown.
const SHOWN: usize = 120;

/// TLS Feature extension (RFC 7633), and its value `status_request`, which is known as must-staple.
const TLS_FEATURE: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 24];
const STATUS_REQUEST: [u8; 3] = [0x02, 0x01, 0x05];

/// Something that an operator should know about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Certificates of the file are not part of the chain.
    LeftOut {
        /// Subject of the first one; `None` if it is not valid X.509.
        subject: Option<String>,
        /// Number of further ones.
        others: usize,
        /// Whether the same certificates stand in the file before.
        is_repeated: bool,
    },
    /// The chain ends before a root, and nothing that was given has signed its last certificate.
    MissingIssuer {
        /// Issuer of the last certificate, for people.
        issuer: String,
        /// Issuer of the last certificate, in DER.
        name: Vec<u8>,
        /// Whether the leaf is the whole chain.
        is_leaf_alone: bool,
    },
    /// Some clients expect an OCSP response in the handshake.
    MustStaple,
    /// The certificate has its name only where clients no longer look for it.
    CommonNameOnly,
}

/// Returns a name for people. Whoever has made a certificate has chosen its names, so they may hold anything.
pub(super) fn shown(name: &X509Name<'_>) -> String {
    match name.iter().next() {
        Some(_) => printable(&name.to_string(), SHOWN),
        None => "(no subject)".to_owned(),
    }
}

impl Flaw {
    /// Returns the flaws of a leaf itself.
    pub(super) fn of_leaf(leaf: &X509Certificate<'_>) -> Vec<Self> {
        let feature = Oid::from(&TLS_FEATURE).ok();
        let extension = feature.and_then(|oid| leaf.get_extension_unique(&oid).ok().flatten());
        let must_staple = extension.is_some_and(|it| {
            let mut parts = it.value.windows(STATUS_REQUEST.len());
            parts.any(|part| part == STATUS_REQUEST)
        });
        let has_names = !matches!(leaf.subject_alternative_name(), Ok(None));
        let flaws = [
            must_staple.then_some(Self::MustStaple),
            (!has_names).then_some(Self::CommonNameOnly),
        ];
        flaws.into_iter().flatten().collect()
    }

    /// Whether clients may refuse the certificate. Reads the roots of the system if the chain has no root. Blocks.
    #[must_use]
    pub fn concerns_clients(&self) -> bool {
        match self {
            Self::LeftOut { .. } => false,
            Self::MissingIssuer {
                name,
                is_leaf_alone,
                ..
            } => match is_system_root(name) {
                Some(is_root) => !is_root,
                None => *is_leaf_alone,
            },
            Self::MustStaple | Self::CommonNameOnly => true,
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftOut {
                subject,
                others,
                is_repeated,
            } => {
                let subject = subject.as_deref().unwrap_or("one that is not valid X.509");
                let (number, is) = match others {
                    0 => (String::new(), "is"),
                    1 => (" and another one".to_owned(), "are"),
                    others => (format!(" and {others} others"), "are"),
                };
                let reason = match (is_repeated, others) {
                    (true, _) => format!("{is} repeated"),
                    (false, 0) => "does not belong to the chain".to_owned(),
                    (false, _) => "do not belong to the chain".to_owned(),
                };
                write!(
                    f,
                    "the certificate of {subject}{number} {reason} and {is} left out"
                )
            }
            Self::MissingIssuer { issuer, .. } => write!(
                f,
                "its chain is incomplete: the certificate of {issuer} is missing"
            ),
            Self::MustStaple => f.write_str(
                "it demands an OCSP response in each handshake (must-staple), which this proxy does not send, so some clients refuse it; get one without this extension",
            ),
            Self::CommonNameOnly => f.write_str(
                "it has its name only as common name, which browsers ignore; get one with a subject alternative name",
            ),
        }
    }
}

/// Whether a root of the system has this name; `None` if the system has no roots.
fn is_system_root(name: &[u8]) -> Option<bool> {
    let roots = rustls_native_certs::load_native_certs().certs;
    let is_it =
        |root: &CertificateDer<'_>| parse(root).is_some_and(|root| root.subject().as_raw() == name);
    (!roots.is_empty()).then(|| roots.iter().any(is_it))
}
