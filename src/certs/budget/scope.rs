//! Whose budget it is: the account's, a registered domain's or a name's.

use crate::certs::public_suffix::registered_domain;
use crate::name::HostPattern;
use crate::storage::Key;

/// Whom an account book is about.
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

    /// Where the book of `account` lies. What a CA counts over all accounts is in one book for all of them.
    pub(super) fn key(&self, issuer: &str, account: &str) -> Key {
        let (folder, owner) = match self {
            Self::Account => ("accounts", account),
            Self::Domain(domain) => ("domains", domain.as_str()),
            Self::Name(name) => ("names", name.as_str()),
        };
        Key::new(&["budgets", issuer, folder, &format!("{owner}.json")])
    }

    /// Where older versions kept one book for all accounts at a CA.
    pub(super) fn former_key(&self, issuer: &str) -> Option<Key> {
        (*self == Self::Account).then(|| Key::new(&["budgets", issuer, "account.json"]))
    }

    /// For people.
    pub(super) fn whose(&self) -> &str {
        match self {
            Self::Account => "this account",
            Self::Domain(name) | Self::Name(name) => name,
        }
    }

    /// Whom a CA means that refuses an order of `subject` for a while. It says so only in its own
    /// words: a limit on a name or its domain binds the other names of the account no more than
    /// one on certificates for the same set of names.
    pub(super) fn of_refusal(subject: &HostPattern, words: &str) -> Self {
        let words = words.to_ascii_lowercase();
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

/// Whether `words` hold `name` as a name of its own.
fn mentions(words: &str, name: &str) -> bool {
    words.match_indices(name).any(|(start, _)| {
        let before = words[..start].chars().next_back();
        let after = words[start + name.len()..].chars().next();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
        // What follows a link's host is a path; the CA's own documents are not about the name.
        !before.is_some_and(|c| is_part(c) || c == '.' || c == '/') && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_ca_say_who_is_limited() {
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
    fn each_book_has_a_record_of_its_own() {
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
