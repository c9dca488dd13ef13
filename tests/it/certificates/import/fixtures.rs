//! A CA and the folders of other programs.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proxy::certs::import::Scan;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use tempfile::TempDir;

use crate::harness::ca::pki::TestCa;

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A CA as other programs use it: a root and an intermediate.
pub(super) struct Ca {
    pub(super) root: TestCa,
    pub(super) intermediate: TestCa,
}

/// A certificate that it signed, with chain and key.
pub(super) struct Leaf {
    pub(super) leaf: String,
    pub(super) issuer: String,
    pub(super) key: String,
}

impl Ca {
    pub(super) fn named(name: &str) -> Self {
        let root = TestCa::root("root");
        let intermediate = root.intermediate(name);
        Self { root, intermediate }
    }

    pub(super) fn new() -> Self {
        Self::named("an intermediate")
    }

    /// A certificate that became valid a day ago and has `left` of its lifetime left.
    pub(super) fn sign(&self, names: &[&str], left: Duration) -> Leaf {
        self.sign_until(names, SystemTime::now() + left)
    }

    pub(super) fn sign_until(&self, names: &[&str], not_after: SystemTime) -> Leaf {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = (SystemTime::now() - 30 * DAY).into();
        params.not_after = not_after.into();
        params.distinguished_name.push(DnType::CommonName, "a leaf");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, self.intermediate.issuer()).unwrap();
        Leaf {
            leaf: leaf.pem(),
            issuer: self.intermediate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Leaf {
    pub(super) fn chain(&self) -> String {
        format!("{}{}", self.leaf, self.issuer)
    }
}

/// A folder of another program.
pub(super) struct Left(pub(super) TempDir);

impl Left {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let left = Self(TempDir::new().unwrap());
        for (name, text) in files {
            let path = left.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        left
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Names of all certificates found, each with the length of its chain.
pub(super) fn names(scanned: &Scan) -> Vec<(String, usize)> {
    assert!(scanned.refused.is_empty(), "{:?}", scanned.refused);
    let found = scanned.found.iter();
    found
        .map(|found| {
            let chain = found.certificate().certified_key().cert.len();
            (found.names()[0].to_string(), chain)
        })
        .collect()
}
