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
