//! The CA of this machine, for names that no public CA can sign: a root made once and kept, and
//! short leaves. Needs no network.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tokio::sync::OnceCell;

use super::{Error, IssueRequest, Issuer, Pem};
use crate::certs::{Certificate, CertificateError};
use crate::name::HostPattern;
use crate::storage::{Key, Storage};

const ROOT_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);
const LEAF_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Clocks of this machine's neighbours may be a little behind.
const BACKDATE: Duration = Duration::from_secs(300);

/// Signs for local names with a root of its own, which is opened when it is first needed.
#[derive(Debug)]
pub struct InternalCa {
    storage: Arc<dyn Storage>,
    root: OnceCell<rcgen::Issuer<'static, KeyPair>>,
}

impl InternalCa {
    /// A CA whose root lies in `storage`. Nothing is read or made yet.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            root: OnceCell::new(),
        }
    }

    /// Reads the root from storage, or makes it. Two processes that start at once get one root.
    pub async fn open(&self) -> Result<(), Error> {
        self.root().await.map(|_| ())
    }

    /// Where the root's PEM lies, for those who want to trust it.
    #[must_use]
    pub fn root_location(&self) -> String {
        self.storage.location(&records().1)
    }

    async fn root(&self) -> Result<&rcgen::Issuer<'static, KeyPair>, Error> {
        self.root.get_or_try_init(|| read(&self.storage)).await
    }
}

async fn read(storage: &Arc<dyn Storage>) -> Result<rcgen::Issuer<'static, KeyPair>, Error> {
    let records = records();
    let (key_record, root_record) = &records;
    let pems = match (
        storage.load(key_record).await?,
        storage.load(root_record).await?,
    ) {
        (Some(key), Some(root)) if is_of_key(&root, &key) => (key, root),
        _ => make(storage, &records).await?,
    };
    let damaged = |record: &Key, source: rcgen::Error| Error::Damaged {
        location: storage.location(record),
        source: source.into(),
    };
    let key = parse_key(&pems.0).map_err(|source| damaged(key_record, source))?;
    rcgen::Issuer::from_ca_cert_pem(&String::from_utf8_lossy(&pems.1), key)
        .map_err(|source| damaged(root_record, source))
}

/// Makes what is missing: the key first, so that a crash in between leaves nothing unusable.
async fn make(
    storage: &Arc<dyn Storage>,
    (key_record, root_record): &(Key, Key),
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let _lock = storage.lock(&folder()).await?;
    let key_pem = match storage.load(key_record).await? {
        Some(pem) => pem,
        None => {
            let pem = KeyPair::generate()?.serialize_pem().into_bytes();
            storage.store(key_record, &pem).await?;
            pem
        }
    };
    let root_pem = match storage.load(root_record).await? {
        Some(pem) if is_of_key(&pem, &key_pem) => pem,
        // A root of another key, as of one that was removed, verifies nothing that is signed.
        _ => {
            let key = parse_key(&key_pem).map_err(|source| Error::Damaged {
                location: storage.location(key_record),
                source: source.into(),
            })?;
            let pem = root_params().self_signed(&key)?.pem().into_bytes();
            storage.store(root_record, &pem).await?;
            pem
        }
    };
    Ok((key_pem, root_pem))
}

fn sign(root: &rcgen::Issuer<'static, KeyPair>, subject: &HostPattern) -> Result<Pem, Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![subject.to_string()])?;
    let now = SystemTime::now();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + LEAF_LIFETIME).into();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let leaf = params.signed_by(&key, root)?;
    Ok(Pem::new(&leaf.pem(), &key.serialize_pem()))
}

fn folder() -> Key {
    Key::new(&["internal-ca"])
}

/// Where key and root lie.
fn records() -> (Key, Key) {
    (folder().join("root.key"), folder().join("root.pem"))
}

impl Issuer for InternalCa {
    fn id(&self) -> &'static str {
        "internal"
    }

    fn issue<'a>(&'a self, request: IssueRequest<'a>) -> BoxFuture<'a, Result<Pem, Error>> {
        let subject = request.subject;
        async move { sign(self.root().await?, subject) }.boxed()
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

fn root_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = SystemTime::now();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + ROOT_LIFETIME).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "proxy internal CA");
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileStorage;

    async fn open(storage: &Arc<dyn Storage>) -> Result<InternalCa, Error> {
        let ca = InternalCa::new(Arc::clone(storage));
        ca.open().await.map(|()| ca)
    }

    #[tokio::test]
    async fn one_root_is_kept_and_signs_short_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
        let first = open(&storage).await.unwrap();
        let root = std::fs::read(first.root_location()).unwrap();
        let again = open(&storage).await.unwrap();
        assert_eq!(std::fs::read(again.root_location()).unwrap(), root);

        for name in ["localhost", "*.home.arpa", "10.0.0.1", "::1"] {
            let subject = HostPattern::parse(name).unwrap();
            let pem = again
                .issue(IssueRequest {
                    subject: &subject,
                    replaces: None,
                })
                .await
                .unwrap();
            let text = format!("{}{}", pem.as_str(), String::from_utf8_lossy(&root));
            let leaf = Certificate::from_pem(text.as_bytes()).unwrap();
            leaf.verify_for(&subject, SystemTime::now()).unwrap();
            let left = leaf.not_after().duration_since(SystemTime::now()).unwrap();
            assert!(left <= LEAF_LIFETIME && left > LEAF_LIFETIME / 2);
        }
    }

    #[tokio::test]
    async fn a_root_whose_key_was_removed_is_made_anew_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
        open(&storage).await.unwrap();
        std::fs::remove_file(dir.path().join("internal-ca/root.key")).unwrap();
        let ca = open(&storage).await.unwrap();
        let root = std::fs::read_to_string(ca.root_location()).unwrap();
        let subject = HostPattern::parse("localhost").unwrap();
        let leaf = ca
            .issue(IssueRequest {
                subject: &subject,
                replaces: None,
            })
            .await
            .unwrap();
        // Reading a chain verifies its signatures.
        Certificate::from_pem(format!("{}{root}", leaf.as_str()).as_bytes()).unwrap();
    }

    #[tokio::test]
    async fn a_damaged_root_is_named_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(dir.path()).unwrap());
        open(&storage).await.unwrap();
        std::fs::write(dir.path().join("internal-ca/root.pem"), "garbage").unwrap();
        let error = open(&storage).await.unwrap_err().to_string();
        assert!(
            error.contains("root.pem is damaged") && error.contains("remove it"),
            "{error}"
        );
    }
}
