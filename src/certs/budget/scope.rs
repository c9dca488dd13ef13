//! The scope of a budget: an account, a registered domain or a name.

use crate::certs::public_suffix::registered_domain;
use crate::name::HostPattern;
use crate::storage::Key;

/// Scope of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Account,
    Domain(String),
    Name(String),
}

impl Scope {
    pub(super) fn domain_of(subject: &HostPattern) -> Self {
        Self::Domain(registered_domain(subject))
    }

    pub(super) fn name_of(subject: &HostPattern) -> Self {
        Self::Name(subject.to_string())
    }

    /// Returns the storage key of the charges. Only the account scope has one charges for each account.
    pub(super) fn key(&self, issuer: &str, account: &str) -> Key {
        let (folder, owner) = match self {
            Self::Account => ("accounts", account),
            Self::Domain(domain) => ("domains", domain.as_str()),
            Self::Name(name) => ("names", name.as_str()),
        };
        Key::new(&["budgets", issuer, folder, &format!("{owner}.json")])
    }

    /// Returns the storage key in older versions, which kept one charges for all accounts at a CA.
    pub(super) fn legacy_key(&self, issuer: &str) -> Option<Key> {
        (*self == Self::Account).then(|| Key::new(&["budgets", issuer, "account.json"]))
    }

    /// Returns the owner of the budget for messages.
    pub(super) fn whose(&self) -> &str {
        match self {
            Self::Account => "this account",
            Self::Domain(name) | Self::Name(name) => name,
        }
    }

    /// Returns the scope of a rate limit that the CA has reported for an order of `subject`. Only the text of the CA tells
    /// it: a limit on a name, a domain or an exact set of names does not affect other names of the account.
    pub(super) fn of_refusal(subject: &HostPattern, detail: &str) -> Self {
        let words = detail.to_ascii_lowercase();
        let base = match subject {
            HostPattern::Exact(name) | HostPattern::Wildcard(name) => name.as_str(),
            HostPattern::Any => return Self::Account,
        };
        let domain = registered_domain(subject);
        let is_named = mentions(&words, base);
        let is_about_name = base != domain || words.contains("failed auth");
        if words.contains("exact set") || (is_named && is_about_name) {
            Self::name_of(subject)
        } else if mentions(&words, &domain) {
            Self::Domain(domain)
        } else {
            Self::Account
        }
    }
}

/// Whether `words` contain `name` as a whole name.
fn mentions(words: &str, name: &str) -> bool {
    words.match_indices(name).any(|(start, _)| {
        let before = words[..start].chars().next_back();
        let after = words[start + name.len()..].chars().next();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
        // A name after a slash is the host of a link to a document of the CA.
        !before.is_some_and(|c| is_part(c) || c == '.' || c == '/') && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detail_of_a_refusal_tells_its_scope() {
        let subject = HostPattern::parse("www.example.org").unwrap();
        for (words, scope) in [
            (
                "too many new orders (300) from this account in the last 3h",
                Scope::Account,
            ),
            ("Service busy; retry later.", Scope::Account),
            ("see https://example.org/docs/limits", Scope::Account),
            (
                "too many certificates (50) already issued for \"example.org\" in the last 168h",
                Scope::Domain("example.org".to_owned()),
            ),
            (
                "too many failed authorizations (5) for \"www.example.org\" in the last 1h",
                Scope::Name("www.example.org".to_owned()),
            ),
            (
                "too many certificates (5) already issued for this exact set of identifiers",
                Scope::Name("www.example.org".to_owned()),
            ),
            ("too many for myexample.org", Scope::Account),
        ] {
            assert_eq!(Scope::of_refusal(&subject, words), scope, "{words}");
        }
    }

    #[test]
    fn each_scope_has_its_own_storage_key() {
        let subject = HostPattern::parse("*.a.example.co.uk").unwrap();
        let keys = [
            Scope::Account,
            Scope::domain_of(&subject),
            Scope::name_of(&subject),
        ];
        let keys = keys.map(|scope| scope.key("ca", "a@b.org").as_str().to_owned());
        assert_eq!(
            keys,
            [
                "budgets/ca/accounts/a%40b.org.json",
                "budgets/ca/domains/example.co.uk.json",
                "budgets/ca/names/_wildcard.a.example.co.uk.json",
            ]
        );
    }
}
