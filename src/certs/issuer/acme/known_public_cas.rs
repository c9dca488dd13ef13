//! Known directories of publicly trusted CAs.

use url::{Host, Url};

/// Hosts of their directories. Staging directories are included, because they refuse the same names.
const PUBLIC_HOSTS: [&str; 7] = [
    "acme-v02.api.letsencrypt.org",
    "acme-staging-v02.api.letsencrypt.org",
    "acme.zerossl.com",
    "dv.acme-v02.api.pki.goog",
    "dv.acme-v02.test-api.pki.goog",
    "api.buypass.com",
    "api.test4.buypass.no",
];

/// Whether `directory` belongs to a publicly trusted CA.
pub(super) fn is_public(directory: &Url) -> bool {
    let Some(Host::Domain(host)) = directory.host() else {
        return false;
    };
    PUBLIC_HOSTS.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_directories_are_public() {
        for (directory, expected) in [
            ("https://acme-v02.api.letsencrypt.org/directory", true),
            ("https://acme.zerossl.com/v2/DV90", true),
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
