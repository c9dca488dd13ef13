//! The persistent TXT record that authorizes one account for a name until it is removed (draft-ietf-acme-dns-persist).

use crate::acme::resource::Identifier;

/// A TXT record that the operator sets once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPersistRecord {
    /// Name of the record, without the final dot.
    pub name: String,
    /// Value of the record.
    pub value: String,
}

impl DnsPersistRecord {
    /// Builds the record that authorizes `account_url` at the CA `issuer_domain` for `identifier`, which may be a wildcard.
    #[must_use]
    pub fn new(identifier: &Identifier, issuer_domain: &str, account_url: &str) -> Self {
        let policy = if identifier.to_string().starts_with("*.") {
            "; policy=wildcard"
        } else {
            ""
        };
        Self {
            name: Self::owner(identifier),
            value: format!("{issuer_domain}; accounturi={account_url}{policy}"),
        }
    }

    /// Returns the name of the record for `identifier`, which is the same for all CAs.
    #[must_use]
    pub fn owner(identifier: &Identifier) -> String {
        let name = identifier.to_string();
        let base = name.strip_prefix("*.").unwrap_or(&name);
        format!("_validation-persist.{base}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_a_wildcard_is_at_its_base_with_a_policy() {
        for (name, value) in [
            (
                "example.org",
                "ca.example; accounturi=https://ca.example/acct/1",
            ),
            (
                "*.example.org",
                "ca.example; accounturi=https://ca.example/acct/1; policy=wildcard",
            ),
        ] {
            let identifier = Identifier::Dns(name.to_owned());
            let record =
                DnsPersistRecord::new(&identifier, "ca.example", "https://ca.example/acct/1");
            assert_eq!(record.name, "_validation-persist.example.org");
            assert_eq!(record.value, value);
        }
    }
}
