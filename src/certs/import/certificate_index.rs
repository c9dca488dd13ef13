//! All certificates of a folder, each once, found by their subjects.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{GeneralName, X509Certificate};

use super::pem_file::PemFile;
use crate::certs::certificate::{comparable, parse};

/// Most certificates that are offered for one chain.
const OFFERED: usize = 50;

/// Names of a certificate and its issuer. Certificates with the same are generations of each other.
pub(super) type Generations = (Vec<Vec<u8>>, Vec<u8>);

/// A certificate of a folder.
pub(super) struct IndexedCertificate<'a> {
    pub(super) der: &'a CertificateDer<'static>,
    /// The file with the most certificates that has it.
    pub(super) file: usize,
    /// The facts in it; `None` if it is not valid X.509.
    pub(super) facts: Option<Facts>,
    /// Folders of all files that have it.
    folders: BTreeSet<&'a Path>,
}

/// Facts of a certificate by which it is matched.
pub(super) struct Facts {
    subject: Vec<u8>,
    issuer: Vec<u8>,
    names: Vec<Vec<u8>>,
    /// Its public key as it stands in it.
    pub(super) public_key: Vec<u8>,
    /// The end of its validity in seconds since 1970.
    pub(super) not_after: i64,
    /// `true` for the certificate of a CA, `false` for that of a host.
    pub(super) is_authority: bool,
}

/// The certificates of all files.
pub(super) struct CertificateIndex<'a> {
    /// In the order of the files.
    pub(super) certificates: Vec<IndexedCertificate<'a>>,
    by_subject: HashMap<Vec<u8>, Vec<usize>>,
}

impl<'a> CertificateIndex<'a> {
    pub(super) fn new(files: &'a [PemFile]) -> Self {
        let mut certificates = Vec::<IndexedCertificate<'a>>::new();
        let mut places = HashMap::<&[u8], usize>::new();
        let mut by_subject = HashMap::<_, Vec<_>>::new();
        for (number, file) in files.iter().enumerate() {
            for der in &file.certificates {
                let next = certificates.len();
                let place = *places.entry(der.as_ref()).or_insert(next);
                if place == next {
                    let facts = parse(der).map(|it| Facts::of(&it));
                    if let Some(facts) = &facts {
                        let namesakes = by_subject.entry(facts.subject.clone());
                        namesakes.or_default().push(next);
                    }
                    certificates.push(IndexedCertificate {
                        der,
                        file: number,
                        facts,
                        folders: BTreeSet::new(),
                    });
                }
                let known = &mut certificates[place];
                known.folders.extend(file.path.parent());
                if file.certificates.len() > files[known.file].certificates.len() {
                    known.file = number;
                }
            }
        }
        Self {
            certificates,
            by_subject,
        }
    }

    /// Returns the certificates that may stand above another one, by their names. Those of `folder` come first, because
    /// several folders may have their own.
    pub(super) fn above(
        &self,
        leaf: &IndexedCertificate<'_>,
        folder: Option<&Path>,
    ) -> Vec<CertificateDer<'static>> {
        let mut found = Vec::new();
        let mut issuers: Vec<_> = leaf.facts.iter().map(|facts| &facts.issuer).collect();
        let mut asked = BTreeSet::new();
        while let Some(issuer) = issuers.pop() {
            if !asked.insert(issuer) || found.len() >= OFFERED {
                continue;
            }
            let namesakes = self.by_subject.get(issuer).into_iter().flatten();
            for place in namesakes.take(OFFERED) {
                let facts = self.certificates[*place].facts.iter();
                issuers.extend(facts.map(|facts| &facts.issuer));
                found.push(*place);
            }
        }
        found.sort_unstable();
        let is_far = |place: &usize| {
            let folders = &self.certificates[*place].folders;
            folder.is_none_or(|folder| !folders.contains(folder))
        };
        found.sort_by_key(is_far);
        let found = found.into_iter().map(|place| self.certificates[place].der);
        found.cloned().collect()
    }
}

impl IndexedCertificate<'_> {
    /// Returns what its generations have in common; `None` if it has no names.
    pub(super) fn generations(&self) -> Option<Generations> {
        let facts = self.facts.as_ref()?;
        let generations = (facts.names.clone(), facts.issuer.clone());
        (!facts.names.is_empty()).then_some(generations)
    }
}

impl Facts {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let extension = certificate.subject_alternative_name().ok().flatten();
        let names = extension.as_ref().map(|it| it.value.general_names.iter());
        let names = names.into_iter().flatten().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into_bytes()),
            GeneralName::IPAddress(octets) => Some(octets.to_vec()),
            _ => None,
        });
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        let (subject, issuer) = (certificate.subject(), certificate.issuer());
        let basic = certificate.basic_constraints();
        let is_ca = matches!(basic, Ok(Some(it)) if it.value.ca);
        // Roots of version 1 do not say that they are.
        let is_root = subject == issuer;
        Self {
            subject: comparable(subject),
            issuer: comparable(issuer),
            is_authority: extension.is_none() && (is_ca || is_root),
            names,
            public_key: certificate.public_key().raw.to_vec(),
            not_after: certificate.validity().not_after.timestamp(),
        }
    }
}
