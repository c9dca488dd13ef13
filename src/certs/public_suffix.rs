//! Registered domains by the public suffix list, and names that no public CA can sign.

use crate::name::{HostName, HostPattern};

/// Domains that are reserved or do not exist in public DNS.
const RESERVED: [&str; 16] = [
    "alt",
    "arpa",
    "corp",
    "example",
    "home",
    "home.arpa",
    "internal",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "onion",
    "private",
    "test",
];

/// Reason why no public CA can sign a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsignable {
    /// The name has a single label.
    #[error(
        "no public CA can sign {0}, which has no dot; use its full domain name, or an issuer of your own"
    )]
    NoDot(HostPattern),
    /// The domain is reserved.
    #[error(
        "no public CA can sign {name}, because .{domain} is reserved; use a domain that you have registered, or an issuer of your own"
    )]
    Reserved {
        /// Name to be signed.
        name: HostPattern,
        /// Reserved domain that the name belongs to.
        domain: &'static str,
    },
    /// The top-level domain does not exist.
    #[error(
        "no public CA can sign {name}, because there is no top-level domain .{domain}; correct the name, or use an issuer of your own"
    )]
    UnknownSuffix {
        /// Name to be signed.
        name: HostPattern,
        /// Last label of the name.
        domain: String,
    },
    /// The name is a public suffix.
    #[error(
        "no public CA can sign {0}, a public suffix, under which anyone can register names; use a name that you have registered"
    )]
    PublicSuffix(HostPattern),
    /// The name has an underscore. Public CAs sign only letters, digits and hyphens.
    #[error("no public CA can sign {0}, because it has an underscore; use a name without one")]
    Underscore(HostPattern),
    /// The address is not public.
    #[error(
        "no public CA can sign {0}, an address that is not reachable from the internet; use a domain name, or an issuer of your own"
    )]
    Address(HostPattern),
    /// The subject is `*`.
    #[error("no public CA can sign `*`; list the host names")]
    Everything,
}

impl Unsignable {
    /// Returns the reason why no public CA can sign `subject`, if there is one.
    #[must_use]
    pub fn find(subject: &HostPattern) -> Option<Self> {
        let base = match subject {
            HostPattern::Exact(name) | HostPattern::Wildcard(name) => name,
            HostPattern::Any => return Some(Self::Everything),
        };
        let name = || subject.clone();
        if base.ip().is_some() {
            return base.is_local().then(|| Self::Address(name()));
        }
        let text = base.as_str();
        let is_reserved = |domain: &&'static str| {
            let rest = text.strip_suffix(domain);
            rest.is_some_and(|rest| rest.ends_with('.'))
        };
        if let Some(domain) = RESERVED.into_iter().find(is_reserved) {
            return Some(Self::Reserved {
                name: name(),
                domain,
            });
        }
        let suffix = psl::suffix(text.as_bytes())?;
        match suffix.typ() {
            None if !text.contains('.') => Some(Self::NoDot(name())),
            None => Some(Self::UnknownSuffix {
                name: name(),
                domain: text.rsplit('.').next().unwrap_or(text).to_owned(),
            }),
            Some(psl::Type::Icann) if suffix.as_bytes().len() == text.len() => {
                Some(Self::PublicSuffix(name()))
            }
            Some(_) if text.contains('_') => Some(Self::Underscore(name())),
            Some(_) => None,
        }
    }
}

/// Returns the registered domain, by which CAs count certificates. An address, a public suffix and a name without a known
/// suffix count as themselves.
#[must_use]
pub(super) fn registered_domain(subject: &HostPattern) -> String {
    let base: &HostName = match subject {
        HostPattern::Exact(name) | HostPattern::Wildcard(name) => name,
        HostPattern::Any => return subject.to_string(),
    };
    let registered = match base.ip() {
        Some(_) => None,
        None => psl::domain_str(base.as_str()),
    };
    registered.unwrap_or(base.as_str()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[test]
    fn names_count_for_their_registered_domain() {
        for (name, domain) in [
            ("www.example.org", "example.org"),
            ("*.a.b.example.co.uk", "example.co.uk"),
            ("example.org", "example.org"),
            ("user.github.io", "user.github.io"),
            ("a.user.github.io", "user.github.io"),
            ("co.uk", "co.uk"),
            ("192.0.2.1", "192.0.2.1"),
            ("a.b.unheard-of", "b.unheard-of"),
        ] {
            assert_eq!(registered_domain(&pattern(name)), domain, "{name}");
        }
    }

    #[test]
    fn unsignable_names_are_reported_with_the_reason() {
        for (name, part) in [
            ("intranet", "no dot"),
            ("nas.local", ".local is reserved"),
            ("a.b.lan", ".lan is reserved"),
            ("www.example", ".example is reserved"),
            ("x.onion", ".onion is reserved"),
            ("x.invalid", ".invalid is reserved"),
            ("www.unheard-of", "no top-level domain .unheard-of"),
            ("co.uk", "register names"),
            ("*.com", "register names"),
            ("org", "register names"),
            ("a_b.example.org", "underscore"),
            ("10.0.0.1", "not reachable"),
            ("*", "list the host names"),
        ] {
            let found = Unsignable::find(&pattern(name));
            let sentence = found.map(|found| found.to_string()).unwrap_or_default();
            assert!(sentence.contains(part), "{name}: {sentence}");
        }
    }

    #[test]
    fn public_names_are_signable() {
        for name in [
            "example.org",
            "*.example.org",
            "a.b.c.example.co.uk",
            "github.io",
            "user.github.io",
            "xn--bcher-kva.de",
            "8.8.8.8",
            "2606:4700::1111",
            "local.example.org",
        ] {
            assert_eq!(Unsignable::find(&pattern(name)), None, "{name}");
        }
    }
}
