//! The CA's directory: a known name or a URL.

use url::Url;

use crate::acme::ExternalAccount;
use crate::certs::{IssuerOptions, Secret};
use crate::config::report::Problem;

use crate::config::keys::nearest_key;
pub(crate) const LETSENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
pub(crate) const LETSENCRYPT_STAGING: &str =
    "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Issuer name with which a site selects the internal CA.
pub(crate) const INTERNAL: &str = "internal";

/// A CA with a built-in name.
struct Known {
    name: &'static str,
    url: &'static str,
    staging: Option<&'static str>,
    needs_account: bool,
}

/// A CA without staging and without credentials.
const PLAIN: Known = Known {
    name: "",
    url: "",
    staging: None,
    needs_account: false,
};

/// The staging directory of Google is left out, because it requires credentials of its own.
const KNOWN: [Known; 5] = [
    Known {
        name: "letsencrypt",
        url: LETSENCRYPT,
        staging: Some(LETSENCRYPT_STAGING),
        ..PLAIN
    },
    Known {
        name: "letsencrypt-staging",
        url: LETSENCRYPT_STAGING,
        ..PLAIN
    },
    Known {
        name: "zerossl",
        url: "https://acme.zerossl.com/v2/DV90",
        needs_account: true,
        ..PLAIN
    },
    Known {
        name: "google",
        url: "https://dv.acme-v02.api.pki.goog/directory",
        needs_account: true,
        ..PLAIN
    },
    Known {
        name: "buypass",
        url: "https://api.buypass.com/acme/directory",
        staging: Some("https://api.test4.buypass.no/acme/directory"),
        ..PLAIN
    },
];

/// Minimum similarity for a suggestion.
const SIMILARITY: f64 = 0.85;

/// An ACME directory and the built-in facts about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) name: String,
    pub(crate) url: Url,
    pub(crate) staging: Option<Url>,
    /// True if the CA requires credentials for new accounts.
    pub(crate) needs_account: bool,
}

impl Directory {
    /// Returns Let's Encrypt, the default.
    pub(crate) fn letsencrypt() -> Self {
        Self::from_known(&KNOWN[0])
    }

    /// Returns Let's Encrypt's staging CA.
    pub(crate) fn staging() -> Self {
        Self::from_known(&KNOWN[1])
    }

    fn from_known(known: &Known) -> Self {
        let parse = |url| Url::parse(url).expect("the built-in directory URLs are valid");
        Self {
            name: known.name.to_owned(),
            url: parse(known.url),
            staging: known.staging.map(parse),
            needs_account: known.needs_account,
        }
    }

    /// Parses a built-in name or an https URL. A URL is named after its host.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        if let Some(known) = KNOWN.iter().find(|known| known.name == text) {
            return Ok(Self::from_known(known));
        }
        match Url::parse(text) {
            Ok(url) if url.scheme() == "https" => {
                if let Some(known) = KNOWN.iter().find(|known| known.url == url.as_str()) {
                    return Ok(Self::from_known(known));
                }
                Ok(Self {
                    name: url.host_str().unwrap_or_default().to_owned(),
                    url,
                    staging: None,
                    needs_account: false,
                })
            }
            Ok(url) if url.scheme() == "http" => {
                Err(Problem::DirectoryScheme(url.scheme().to_owned()))
            }
            _ => Err(Problem::Directory {
                text: text.to_owned(),
                nearest: nearest_key(text, KNOWN.iter().map(|known| known.name), SIMILARITY),
                known: KNOWN.iter().map(|known| known.name).collect(),
            }),
        }
    }

    /// Returns an issuer with default options.
    pub(crate) fn into_issuer(self) -> IssuerOptions {
        IssuerOptions {
            staging: self.staging,
            ..IssuerOptions::new(self.name, self.url)
        }
    }
}

/// Returns the credentials, or a problem if the key is not base64url.
pub(crate) fn external_account(
    key_id: String,
    secret: &Secret,
) -> Result<ExternalAccount, Problem> {
    ExternalAccount::new(key_id, secret.expose()).ok_or(Problem::HmacKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_have_names_or_https_urls() {
        for (text, name, url) in [
            ("letsencrypt", "letsencrypt", LETSENCRYPT),
            (LETSENCRYPT, "letsencrypt", LETSENCRYPT),
            (
                "letsencrypt-staging",
                "letsencrypt-staging",
                LETSENCRYPT_STAGING,
            ),
            ("zerossl", "zerossl", "https://acme.zerossl.com/v2/DV90"),
            (
                "https://localhost:14000/dir",
                "localhost",
                "https://localhost:14000/dir",
            ),
        ] {
            let directory = Directory::parse(text).unwrap();
            assert_eq!(directory.name, name);
            assert_eq!(directory.url.as_str(), url);
        }
        for (text, part) in [
            ("http://ca.internal/dir", "must use https"),
            ("letsencript", "did you mean `letsencrypt`?"),
            ("ftp://ca/dir", "is not a valid ACME directory"),
            ("localhost:14000/dir", "is not a valid ACME directory"),
        ] {
            let message = Directory::parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
