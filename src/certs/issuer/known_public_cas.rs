//! Known directories of publicly trusted CAs.

use url::{Host, Url};

/// Hosts of the directories whose limits are known. Staging directories are included, because they refuse the same names.
const LIMITED_HOSTS: [&str; 7] = [
    "acme-v02.api.letsencrypt.org",
    "acme-staging-v02.api.letsencrypt.org",
    "acme.zerossl.com",
    "dv.acme-v02.api.pki.goog",
    "dv.acme-v02.test-api.pki.goog",
    "api.buypass.com",
    "api.test4.buypass.no",
];

/// Hosts of the directories of other CAs. Their limits depend on the contract.
const OTHER_HOSTS: [&str; 16] = [
    "acme.ssl.com",
    "acme-try.ssl.com",
    "acme.sectigo.com",
    "acme.enterprise.sectigo.com",
    "acme.digicert.com",
    "one.digicert.com",
    "demo.one.digicert.com",
    "acme.entrust.net",
    "emea.acme.atlas.globalsign.com",
    "acme-api.actalis.com",
    "acme-v02.harica.gr",
    "acme.harica.gr",
    "acme.certum.pl",
    "acme.trust.telia.com",
    "acme.trustasia.com",
    "acme.litessl.com",
];

/// Hosts of the directories for trials, after those of the CAs that have one. Both have the same paths.
const STAGING_HOSTS: [(&str, &str); 5] = [
    (
        "acme-v02.api.letsencrypt.org",
        "acme-staging-v02.api.letsencrypt.org",
    ),
    ("dv.acme-v02.api.pki.goog", "dv.acme-v02.test-api.pki.goog"),
    ("api.buypass.com", "api.test4.buypass.no"),
    ("acme.ssl.com", "acme-try.ssl.com"),
    ("one.digicert.com", "demo.one.digicert.com"),
];

/// `true` if certificates of `directory` are publicly trusted, as far as is known, and not meant for trials.
#[must_use]
pub fn is_public_production(directory: &Url) -> bool {
    is_public(directory) && !is_at(directory, &STAGING_HOSTS.map(|(_, staging)| staging))
}

/// Returns the directory for trials that belongs to a `directory` of production, if it is known.
#[must_use]
pub fn staging_of(directory: &Url) -> Option<Url> {
    let (_, staging) = STAGING_HOSTS
        .iter()
        .find(|(production, _)| is_at(directory, &[production]))?;
    let mut twin = directory.clone();
    twin.set_host(Some(staging)).ok()?;
    Some(twin)
}

/// Whether `directory` belongs to a publicly trusted CA, which never signs local names.
pub(super) fn is_public(directory: &Url) -> bool {
    has_known_limits(directory) || is_at(directory, &OTHER_HOSTS)
}

/// Whether `directory` belongs to a publicly trusted CA with the limits that the budgets are made for.
pub(super) fn has_known_limits(directory: &Url) -> bool {
    is_at(directory, &LIMITED_HOSTS)
}

fn is_at(directory: &Url, hosts: &[&str]) -> bool {
    matches!(directory.host(), Some(Host::Domain(host)) if hosts.contains(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_for_trials_belongs_to_a_known_one_of_production() {
        for (directory, staging) in [
            (
                "https://acme-v02.api.letsencrypt.org/directory",
                Some("https://acme-staging-v02.api.letsencrypt.org/directory"),
            ),
            (
                "https://acme.ssl.com/sslcom-dv-ecc",
                Some("https://acme-try.ssl.com/sslcom-dv-ecc"),
            ),
            ("https://acme.zerossl.com/v2/DV90", None),
            ("https://acme-api.actalis.com/acme/directory", None),
        ] {
            let directory: Url = directory.parse().unwrap();
            assert!(is_public_production(&directory), "{directory}");
            let found = staging_of(&directory);
            assert_eq!(found.as_ref().map(Url::as_str), staging);
            if let Some(staging) = found {
                assert!(is_public(&staging) && !is_public_production(&staging));
            }
        }
        let own = "https://127.0.0.1/dir".parse().unwrap();
        assert!(!is_public_production(&own) && staging_of(&own).is_none());
    }

    #[test]
    fn only_known_directories_are_public() {
        for (directory, expected) in [
            ("https://acme.sectigo.com/v2/DV", true),
            ("https://acme-v02.api.letsencrypt.org/directory", true),
            ("https://acme.zerossl.com/v2/DV90", true),
            ("https://acme.trust.telia.com/directory", true),
            ("https://acme.harica.gr/alias/directory", true),
            ("https://localhost:14000/dir", false),
            ("https://acme-v02.api.letsencrypt.org.example/dir", false),
            ("https://127.0.0.1/dir", false),
        ] {
            assert_eq!(
                is_public(&directory.parse().unwrap()),
                expected,
                "{directory}"
            );
        }
    }
}
