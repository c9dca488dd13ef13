//! The intermediate of the internal CA, which signs the leaf certificates. It is short-lived, so that a leaked key is soon
//! useless, and is replaced after half of its lifetime.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use super::super::{Error, Pem};
use super::root::{BACKDATE, Root, folder};
use crate::certs::certificate::Certificate;
use crate::name::HostPattern;
use crate::pem;
use crate::storage::{Key, Storage};

const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
const LEAF_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Intermediate CA below the root.
#[derive(Debug)]
pub(super) struct Intermediate {
    issuer: rcgen::Issuer<'static, KeyPair>,
    chain: String,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Intermediate {
    /// Loads the stored intermediate, or replaces it if it is too old. Processes that call this at the same time get the
    /// same intermediate.
    pub(super) async fn open(
        storage: &Arc<dyn Storage>,
        root: &Root,
        now: SystemTime,
    ) -> Result<Self, Error> {
        if let Some(stored) = load(storage, root, now).await? {
            return Ok(stored);
        }
        let _lock = storage.lock(&folder()).await?;
        if let Some(stored) = load(storage, root, now).await? {
            return Ok(stored);
        }
        root.log_expiry(now);
        let pem = create(root, now)?;
        storage.store(&record(), pem.as_str().as_bytes()).await?;
        Self::parse(pem.as_str().as_bytes())
    }

    /// Reads certificate and key from one text.
    fn parse(pem: &[u8]) -> Result<Self, Error> {
        let facts = Certificate::from_pem(pem)?;
        let key = pem::private_key(pem).map_err(crate::certs::CertificateError::Pem)?;
        let certificate = &facts.certified_key().cert[0];
        let issuer = rcgen::Issuer::from_ca_cert_der(certificate, KeyPair::try_from(&key)?)?;
        let text = String::from_utf8_lossy(pem);
        let end = text.find("-----BEGIN PRIVATE KEY-----");
        Ok(Self {
            issuer,
            chain: text[..end.unwrap_or(text.len())].to_owned(),
            not_before: facts.not_before(),
            not_after: facts.not_after(),
        })
    }

    /// Whether less than half of its lifetime is over.
    pub(super) fn is_young(&self, now: SystemTime) -> bool {
        let lifetime = self.not_after.duration_since(self.not_before);
        self.not_before <= now && now < self.not_before + lifetime.unwrap_or_default() / 2
    }

    /// Creates key and leaf certificate for `subject`. The chain ends with this intermediate.
    pub(super) fn sign(&self, subject: &HostPattern, now: SystemTime) -> Result<Pem, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![subject.to_string()])?;
        params.not_before = (now - BACKDATE).into();
        params.not_after = (now + LEAF_LIFETIME).min(self.not_after).into();
        params.is_ca = IsCa::ExplicitNoCa;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let chain = format!("{}{}", leaf.pem(), self.chain);
        Ok(Pem::new(&chain, &key.serialize_pem()))
    }
}

/// Loads the stored intermediate, if this root has signed it and it is young enough.
async fn load(
    storage: &Arc<dyn Storage>,
    root: &Root,
    now: SystemTime,
) -> Result<Option<Intermediate>, Error> {
    let Some(pem) = storage.load(&record()).await? else {
        return Ok(None);
    };
    let is_signed = Certificate::from_pem(&pem)
        .is_ok_and(|certificate| root.has_signed(&certificate.certified_key().cert[0]));
    let stored = Intermediate::parse(&pem).ok();
    Ok(stored.filter(|stored| is_signed && stored.is_young(now)))
}

fn create(root: &Root, now: SystemTime) -> Result<Pem, Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + LIFETIME).min(root.not_after()).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "proxy internal CA, intermediate");
    let certificate = params.signed_by(&key, &root.issuer)?;
    Ok(Pem::new(&certificate.pem(), &key.serialize_pem()))
}

/// Key of the record with both certificate and private key, so that a reader never sees parts of two pairs.
fn record() -> Key {
    folder().join("intermediate.pem")
}
