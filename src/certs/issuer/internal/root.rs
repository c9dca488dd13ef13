//! The root of the internal CA. It is created once and never changed.

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

/// Id of the internal CA, which is part of the storage keys of its certificates.
pub(super) const ID: &str = "internal";

/// Time by which certificates are backdated, because clocks of clients may be slightly slow.
pub(super) const BACKDATE: Duration = Duration::from_secs(300);

const LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);

/// Time before the expiry of the root from which the log warns.
const EXPIRY_NOTICE: Duration = Duration::from_secs(90 * 24 * 3600);

/// Root certificate with its key.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) issuer: rcgen::Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    not_after: SystemTime,
    permitted: Vec<NameConstraint>,
    folders: Folders,
}

/// Folders that an operator removes to get a new root.
#[derive(Clone, Debug)]
struct Folders {
    folder: String,
    leaves: String,
}

impl Root {
    /// Loads the root, or creates it with `options`.
    pub(super) async fn open(
        storage: &Arc<dyn Storage>,
        options: &InternalCaOptions,
    ) -> Result<Self, Error> {
        let (key_record, root_record) = records();
        let pems = match (
            storage.load(&key_record).await?,
            storage.load(&root_record).await?,
        ) {
            (Some(key), Some(root)) if is_pair(&root, &key) => (key, root),
            _ => create(storage, options).await?,
        };
        let root = Self::parse(storage, &pems)?;
        root.log_expiry(SystemTime::now());
        root.log_changed_constraints(options);
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
            folders: Folders {
                folder: storage.location(&folder()),
                leaves: storage.location(&Key::new(&["certificates", ID])),
            },
        })
    }

    /// Returns the end of its validity.
    pub(super) fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Returns an error if clients would not accept a certificate for `subject` that the root signs at `now`.
    pub(super) fn check(&self, subject: &HostPattern, now: SystemTime) -> Result<(), Error> {
        let Folders { folder, leaves } = self.folders.clone();
        if now >= self.not_after {
            return Err(Error::RootExpired {
                at: self.not_after,
                folder,
                leaves,
            });
        }
        let is_permitted = self.permitted.is_empty()
            || self
                .permitted
                .iter()
                .any(|permitted| permitted.permits(subject));
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

    /// Whether this root has signed the certificate `der`.
    pub(super) fn has_signed(&self, der: &CertificateDer<'_>) -> bool {
        let (Ok((_, root)), Ok((_, below))) = (
            X509Certificate::from_der(&self.certificate),
            X509Certificate::from_der(der),
        ) else {
            return false;
        };
        below.issuer() == root.subject() && below.verify_signature(Some(root.public_key())).is_ok()
    }

    /// Logs what to do if the root has expired or expires soon.
    pub(super) fn log_expiry(&self, now: SystemTime) {
        let not_after = humantime::format_rfc3339_seconds(self.not_after);
        let Folders { folder, leaves } = &self.folders;
        if now >= self.not_after {
            error!(
                %not_after, %folder, %leaves,
                "internal CA's root has expired: remove both folders, restart, and run `proxy trust` wherever the root is trusted"
            );
        } else if now + EXPIRY_NOTICE > self.not_after {
            warn!(
                %not_after, %folder, %leaves,
                "internal CA's root expires soon: remove both folders, restart, and run `proxy trust` wherever the root is trusted"
            );
        }
    }

    fn log_changed_constraints(&self, options: &InternalCaOptions) {
        let mut wanted = options.name_constraints.clone();
        wanted.sort();
        wanted.dedup();
        if wanted == self.permitted {
            return;
        }
        let Folders { folder, leaves } = &self.folders;
        warn!(
            wanted = list(&wanted), %folder, %leaves,
            "internal CA's root keeps the name constraints of its creation: to change them, run `proxy trust --remove`, remove both folders, restart, and run `proxy trust`"
        );
    }
}

/// Creates the missing records. Stores the key first, so that a crash in between leaves nothing unusable.
async fn create(
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
        Some(pem) if is_pair(&pem, &key_pem) => pem,
        // A root of another key, such as a removed one, verifies nothing that this key signs.
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
    // Trust stores distinguish roots by their names.
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

/// Folder of all records of the CA.
pub(super) fn folder() -> Key {
    Key::new(&["internal-ca"])
}

/// Storage keys of private key and root certificate.
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

/// Whether root and key belong together. Also `true` if one cannot be parsed: `Root::parse` then names the damaged record.
fn is_pair(root: &[u8], key: &[u8]) -> bool {
    let pair = Certificate::from_pem_pair(root, key);
    !matches!(pair, Err(CertificateError::KeyMismatch))
}

fn parse_key(pem: &[u8]) -> Result<KeyPair, rcgen::Error> {
    KeyPair::from_pem(&String::from_utf8_lossy(pem))
}
