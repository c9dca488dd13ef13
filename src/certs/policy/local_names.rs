//! The choice of the CA for local names, which no public CA signs.

use crate::certs::issuer::IssuerOptions;
use crate::name::HostPattern;

/// Who signs local names for which the site names no issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalNames {
    /// The internal CA, because a public CA is configured, or none at all.
    ByInternalCa,
    /// The configured CAs, because all of them are private. Names that only lead to this machine stay with the internal CA.
    ByPrivateCas,
}

impl LocalNames {
    /// Decides by the configured issuers.
    #[must_use]
    pub fn of(issuers: &[IssuerOptions]) -> Self {
        Self::decide(issuers.iter().map(|issuer| !issuer.is_private()))
    }

    /// Decides by whether each of the CAs is a public one.
    pub(super) fn decide(mut are_public: impl ExactSizeIterator<Item = bool>) -> Self {
        if are_public.len() == 0 || are_public.any(|is_public| is_public) {
            Self::ByInternalCa
        } else {
            Self::ByPrivateCas
        }
    }

    /// Whether the internal CA signs for `pattern`.
    #[must_use]
    pub fn are_internal(self, pattern: &HostPattern) -> bool {
        match self {
            Self::ByInternalCa => pattern.is_local(),
            Self::ByPrivateCas => pattern.is_loopback(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_cas_sign_local_names_if_there_is_no_public_one() {
        let issuer =
            |directory: &str| IssuerOptions::new("ca".to_owned(), directory.parse().unwrap());
        let own = || issuer("https://ca.internal/acme/directory");
        let public = || issuer("https://acme-v02.api.letsencrypt.org/directory");
        let is_internal = |issuers: &[IssuerOptions], name: &str| {
            LocalNames::of(issuers).are_internal(&HostPattern::parse(name).unwrap())
        };
        for name in [
            "nas.home.arpa",
            "*.internal",
            "x.test",
            "10.0.0.1",
            "fd00::1",
        ] {
            assert!(!is_internal(&[own(), own()], name), "{name}");
            for issuers in [&[][..], &[public()], &[own(), public()]] {
                assert!(is_internal(issuers, name), "{name} {issuers:?}");
            }
        }
        for name in ["localhost", "*.localhost", "127.0.0.1", "::1"] {
            assert!(is_internal(&[own()], name), "{name}");
        }
        assert!(!is_internal(&[own()], "www.example.org"));
    }
}
