//! An inventory of storage: the names that have records, page by page, and the certificate of one name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::certificate_refusal::CertificateRefusal;
use crate::certs::certificate::Certificate;
use crate::certs::store::{ATTEMPTS, ATTEMPTS_ENDING, CERTIFICATES, CertificateStore, Stored};
use crate::name::HostPattern;
use crate::storage::{Key, PageRequest};

/// Reads storage, whether or not a proxy is running on it.
#[derive(Clone, Debug)]
pub struct Inventory {
    records: CertificateStore,
    issuers: Vec<String>,
}

/// A page of names, in the order of their records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamePage {
    /// The names.
    pub names: Vec<HostPattern>,
    /// The last name of this page, after which the next one begins; `None` if this is the last page.
    pub next: Option<HostPattern>,
}

/// The certificate that is stored for a name.
#[derive(Debug)]
pub struct StoredCertificate {
    /// The issuer in whose folder it is stored.
    pub issuer: String,
    /// Its location in storage, as shown to people.
    pub location: String,
    /// The certificate, unless it is damaged.
    pub stored: Stored,
}

impl StoredCertificate {
    fn certificate(&self) -> Option<&Arc<Certificate>> {
        match &self.stored {
            Stored::Found(certificate) => Some(certificate),
            Stored::Missing | Stored::Damaged(_) => None,
        }
    }
}

impl Inventory {
    /// Lists the issuers that have a folder in `records`.
    pub async fn open(records: CertificateStore) -> Result<Self, CertificateRefusal> {
        let issuers = list(&records, &Key::new(&[CERTIFICATES]), "", None, usize::MAX).await?;
        let issuers = issuers.iter().filter_map(|segment| Key::decode(segment));
        Ok(Self {
            issuers: issuers.collect(),
            records,
        })
    }

    /// Returns up to `limit` names after `after` that have a certificate or failed attempts in storage, or are among
    /// `others`. Takes memory for one page only.
    pub async fn names(
        &self,
        after: Option<&HostPattern>,
        limit: usize,
        others: &[HostPattern],
    ) -> Result<NamePage, CertificateRefusal> {
        let after = after.map(segment);
        let mut found = BTreeMap::new();
        for name in others {
            let segment = segment(name);
            if after.as_ref().is_none_or(|after| segment > *after) {
                found.insert(segment, Origin::Known(name));
            }
        }
        // One name more than the page holds shows whether there is another page.
        let more = limit.saturating_add(1);
        let folder = Key::new(&[ATTEMPTS]);
        let attempts = list(
            &self.records,
            &folder,
            ATTEMPTS_ENDING,
            after.as_deref(),
            more,
        );
        for segment in attempts.await? {
            found.entry(segment).or_insert(Origin::Attempts);
        }
        for issuer in &self.issuers {
            let folder = Key::new(&[CERTIFICATES, issuer]);
            for segment in list(&self.records, &folder, "", after.as_deref(), more).await? {
                found.entry(segment).or_insert(Origin::Issuer(issuer));
            }
        }
        let has_more = found.len() > limit;
        let mut names = Vec::with_capacity(limit.min(found.len()));
        for (segment, origin) in found.into_iter().take(limit) {
            names.extend(self.name(&segment, origin).await?);
        }
        let next = names.last().filter(|_| has_more).cloned();
        Ok(NamePage { names, next })
    }

    /// Returns the stored certificate for a name that expires last; a damaged one only if there is no other.
    pub async fn certificate(
        &self,
        subject: &HostPattern,
    ) -> Result<Option<StoredCertificate>, CertificateRefusal> {
        let mut best: Option<StoredCertificate> = None;
        for issuer in &self.issuers {
            let stored = self.records.load_certificate(issuer, subject).await?;
            if matches!(stored, Stored::Missing) {
                continue;
            }
            if let Stored::Found(found) = &stored {
                self.records.apply_plan(issuer, subject, found).await;
            }
            let candidate = StoredCertificate {
                issuer: issuer.clone(),
                location: self.records.certificate_location(issuer, subject),
                stored,
            };
            let end = |it: &StoredCertificate| it.certificate().map(|found| found.not_after());
            if best.as_ref().is_none_or(|best| end(&candidate) > end(best)) {
                best = Some(candidate);
            }
        }
        Ok(best)
    }

    /// Returns the name of a record.
    async fn name(
        &self,
        segment: &str,
        origin: Origin<'_>,
    ) -> Result<Option<HostPattern>, CertificateRefusal> {
        Ok(match origin {
            Origin::Known(name) => Some(name.clone()),
            Origin::Attempts => {
                Key::decode(segment).and_then(|text| HostPattern::parse(&text).ok())
            }
            Origin::Issuer(issuer) => self.records.subject_in(issuer, segment).await?,
        })
    }
}

/// The place where a name was found.
#[derive(Clone, Copy, Debug)]
enum Origin<'a> {
    Known(&'a HostPattern),
    Attempts,
    Issuer(&'a str),
}

fn segment(name: &HostPattern) -> String {
    Key::new(&[&name.to_string()]).as_str().to_owned()
}

async fn list(
    records: &CertificateStore,
    folder: &Key,
    ending: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, CertificateRefusal> {
    let request = PageRequest {
        folder,
        ending,
        after,
        limit,
    };
    Ok(records.storage().page(request).await?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::certs::certificate::TestCa;
    use crate::certs::store::Attempts;
    use crate::storage::FileStorage;

    fn name(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    async fn records(dir: &tempfile::TempDir) -> CertificateStore {
        let records = CertificateStore::new(Arc::new(FileStorage::open(dir.path()).unwrap()));
        let ca = TestCa::new();
        let long = format!("{0}.{0}.{0}.example", "x".repeat(63));
        for (issuer, text, days) in [
            ("one", "b.example", 1),
            ("one", "*.example", 1),
            ("two", "b.example", 2),
            ("two", "c.example", 1),
            ("two", &long, 1),
        ] {
            let pem = ca.sign(&[text], -60..days * 86400);
            let stored = records.store_certificate(issuer, &name(text), &pem).await;
            stored.unwrap();
        }
        let failed =
            Attempts::default().failed("no".to_owned(), SystemTime::now(), Duration::from_secs(60));
        let stored = records.store_attempts(&name("a.example"), &failed).await;
        stored.unwrap();
        records
    }

    #[tokio::test]
    async fn every_name_is_listed_once_for_any_page_size() {
        let dir = tempfile::tempdir().unwrap();
        let inventory = Inventory::open(records(&dir).await).await.unwrap();
        let others = [name("aa.example"), name("b.example")];
        for limit in [1, 2, 3, 100] {
            let (mut names, mut after) = (Vec::new(), None);
            loop {
                let page = inventory.names(after.as_ref(), limit, &others).await;
                let page = page.unwrap();
                assert!(page.names.len() <= limit);
                names.extend(page.names.iter().map(ToString::to_string));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let long = format!("{0}.{0}.{0}.example", "x".repeat(63));
            let all = [
                "*.example",
                "a.example",
                "aa.example",
                "b.example",
                "c.example",
                &long,
            ];
            assert_eq!(names, all, "{limit}");
        }
    }

    #[tokio::test]
    async fn the_certificate_that_expires_last_is_chosen() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(&dir).await;
        let pem = "-----BEGIN CERTIFICATE-----";
        for issuer in ["one", "three"] {
            let stored = records
                .store_certificate(issuer, &name("c.example"), pem)
                .await;
            stored.unwrap();
        }
        let stored = records
            .store_certificate("one", &name("d.example"), pem)
            .await;
        stored.unwrap();
        let inventory = Inventory::open(records).await.unwrap();
        let issuer = async |text: &str| {
            let kept = inventory.certificate(&name(text)).await.unwrap();
            kept.map(|kept| (kept.issuer.clone(), kept.certificate().is_some()))
        };
        assert_eq!(issuer("b.example").await, Some(("two".to_owned(), true)));
        assert_eq!(issuer("c.example").await, Some(("two".to_owned(), true)));
        assert_eq!(issuer("d.example").await, Some(("one".to_owned(), false)));
        assert_eq!(issuer("e.example").await, None);
    }
}
