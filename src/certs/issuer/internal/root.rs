//! The root of the internal CA: made once and kept as it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use tracing::{error, warn};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::Error;
use super::name_constraint;
use super::name_constraint::{NameConstraint, list};
use super::options::InternalCaOptions;
use crate::certs::certificate::{Certificate, CertificateError};
use crate::name::HostPattern;
use crate::storage::{Key, Storage};

/// The id of this machine's own CA, which is part of the keys of what it signed.
pub(super) const ID: &str = "internal";

/// The time by which certificates are dated back: clocks of other machines may be a little behind.
pub(super) const BACKDATE: Duration = Duration::from_secs(300);

const LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);

/// How long before its end a root is warned of.
const NOTICE: Duration = Duration::from_secs(90 * 24 * 3600);

/// The root's key and what is known of its certificate.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) issuer: rcgen::Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    not_after: SystemTime,
    permitted: Vec<NameConstraint>,
    places: Places,
}

/// What an operator removes to have a root made anew.
#[derive(Clone, Debug)]
struct Places {
    folder: String,
    leaves: String,
}

impl Root {
    /// Reads the root, or makes it with `options`.
    pub(super) async fn open(
        storage: &Arc<dyn Storage>,
        options: &InternalCaOptions,
    ) -> Result<Self, Error> {
        let (key_record, root_record) = records();
        let pems = match (
            storage.load(&key_record).await?,
            storage.load(&root_record).await?,
        ) {
            (Some(key), Some(root)) if is_of_key(&root, &key) => (key, root),
            _ => make(storage, options).await?,
        };
        let root = Self::parse(storage, &pems)?;
        root.tell_end(SystemTime::now());
        root.tell_constraints(options);
        Ok(root)
    }

    fn parse(storage: &Arc<dyn Storage>, (key, root): &(Vec<u8>, Vec<u8>)) -> Result<Self, Error> {
        let (key_record, root_record) = records();
        let key_pair = parse_key(key).map_err(|source| damaged(storage, &key_record, source))?;
        let facts = Certificate::from_pem_pair(root, key)
            .map_err(|source| damaged(storage, &root_record, source))?;
        let certificate = facts.certified_key().cert[0].clone();
        let issuer = rcgen::Issuer::from_ca_cert_der(&certificate, key_pair)
            .map_err(|source| damaged(storage, &root_record, source))?;
        let permitted = match X509Certificate::from_der(&certificate) {
            Ok((_, parsed)) => name_constraint::permitted(&parsed),
            Err(_) => Vec::new(),
        };
        Ok(Self {
            issuer,
            not_after: facts.not_after(),
            certificate,
            permitted,
            places: Places {
                folder: storage.location(&folder()),
                leaves: storage.location(&Key::new(&["certificates", ID])),
            },
        })
    }

    /// The end of its validity.
    pub(super) fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Fails when no client would accept what the root signs for `subject` at `now`.
    pub(super) fn check(&self, subject: &HostPattern, now: SystemTime) -> Result<(), Error> {
        let Places { folder, leaves } = self.places.clone();
        if now >= self.not_after {
            return Err(Error::RootExpired {
                at: self.not_after,
                folder,
                leaves,
            });
        }
        let is_permitted = self.permitted.is_empty()
            || self.permitted.iter().any(|within| within.permits(subject));
        if is_permitted {
            Ok(())
        } else {
            Err(Error::NotPermitted {
                subject: subject.clone(),
                permitted: self.permitted.clone(),
                folder,
                leaves,
            })
        }
    }

    /// Whether `der` is a CA's certificate that this root signed.
    pub(super) fn has_signed(&self, der: &CertificateDer<'_>) -> bool {
        let (Ok((_, root)), Ok((_, below))) = (
            X509Certificate::from_der(&self.certificate),
            X509Certificate::from_der(der),
        ) else {
            return false;
        };
        below.issuer() == root.subject() && below.verify_signature(Some(root.public_key())).is_ok()
    }

    /// Says in the log what to do when the root's end is near.
    pub(super) fn tell_end(&self, now: SystemTime) {
        let not_after = humantime::format_rfc3339_seconds(self.not_after);
        let Places { folder, leaves } = &self.places;
        if now >= self.not_after {
            error!(
                %not_after, %folder, %leaves,
                "internal CA's root has expired: remove both folders, start again, and run `proxy trust` wherever the root is trusted"
            );
        } else if now + NOTICE > self.not_after {
            warn!(
                %not_after, %folder, %leaves,
                "internal CA's root expires soon: remove both folders, start again, and run `proxy trust` wherever the root is trusted"
            );
        }
    }

    fn tell_constraints(&self, options: &InternalCaOptions) {
        let mut wanted = options.name_constraints.clone();
        wanted.sort();
        wanted.dedup();
        if wanted == self.permitted {
            return;
        }
        let Places { folder, leaves } = &self.places;
        warn!(
            permitted = list(&self.permitted), wanted = list(&wanted), %folder, %leaves,
            "internal CA's root keeps the name constraints that it was made with: to change them, run `proxy trust --remove`, remove both folders, start again, and run `proxy trust`"
        );
    }
}

/// Makes what is missing: the key first, so that a crash in between leaves nothing unusable.
async fn make(
    storage: &Arc<dyn Storage>,
    options: &InternalCaOptions,
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let (key_record, root_record) = records();
    let _lock = storage.lock(&folder()).await?;
    let key_pem = match storage.load(&key_record).await? {
        Some(pem) => pem,
        None => {
            let pem = KeyPair::generate()?.serialize_pem().into_bytes();
            storage.store(&key_record, &pem).await?;
            pem
        }
    };
    let root_pem = match storage.load(&root_record).await? {
        Some(pem) if is_of_key(&pem, &key_pem) => pem,
        // A root of another key, as of one that was removed, verifies nothing that is signed.
        _ => {
            let key =
                parse_key(&key_pem).map_err(|source| damaged(storage, &key_record, source))?;
            let pem = params(&key, options).self_signed(&key)?.pem().into_bytes();
            storage.store(&root_record, &pem).await?;
            pem
        }
    };
    Ok((key_pem, root_pem))
}

fn params(key: &KeyPair, options: &InternalCaOptions) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = SystemTime::now();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + LIFETIME).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = name_constraint::extension(&options.name_constraints);
    params.distinguished_name = rcgen::DistinguishedName::new();
    // Stores of trust tell roots apart by their names.
    let id: String = params
        .key_identifier(key)
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("proxy internal CA {id}"));
    params
}

/// Where all of the CA lies.
pub(super) fn folder() -> Key {
    Key::new(&["internal-ca"])
}

/// Where key and root lie.
pub(super) fn records() -> (Key, Key) {
    (folder().join("root.key"), folder().join("root.pem"))
}

fn damaged(
    storage: &Arc<dyn Storage>,
    record: &Key,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Damaged {
        location: storage.location(record),
        source: source.into(),
    }
}

/// Whether the root is the key's own. What cannot be read is left for its reader to name.
fn is_of_key(root: &[u8], key: &[u8]) -> bool {
    let pair = Certificate::from_pem_pair(root, key);
    !matches!(pair, Err(CertificateError::KeyMismatch))
}

fn parse_key(pem: &[u8]) -> Result<KeyPair, rcgen::Error> {
    KeyPair::from_pem(&String::from_utf8_lossy(pem))
}
