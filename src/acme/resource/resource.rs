//! The resources of RFC 8555 section 7.1 as JSON. Unknown fields are ignored, and unknown words are kept, so that CAs can
//! add new ones. A field is required only where it is used, because CAs leave out many of them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use super::identifier::Identifier;
use super::json::{described_names, items, or_default};
use super::problem::Problem;
use crate::printable::printable;

/// Most characters of a word that is not in RFC 8555 that are shown.
const WORD: usize = 40;

/// An absolute URL of one of the CA's resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceUrl(Url);

impl ResourceUrl {
    /// Returns the URL itself.
    #[must_use]
    pub fn into_url(self) -> Url {
        self.0
    }
}

impl Deref for ResourceUrl {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ResourceUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Url::parse(&text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// A service of the CA that every certificate needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::acme) enum Service {
    Nonce,
    Account,
    Order,
}

impl Service {
    /// Returns its name in the directory.
    pub(in crate::acme) fn name(self) -> &'static str {
        match self {
            Self::Nonce => "newNonce",
            Self::Account => "newAccount",
            Self::Order => "newOrder",
        }
    }
}

/// The URLs of the CA's services (RFC 8555 section 7.1.1).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    /// Creates nonces.
    #[serde(default, deserialize_with = "or_default")]
    pub new_nonce: Option<ResourceUrl>,
    /// Registers and finds accounts.
    #[serde(default, deserialize_with = "or_default")]
    pub new_account: Option<ResourceUrl>,
    /// Creates orders.
    #[serde(default, deserialize_with = "or_default")]
    pub new_order: Option<ResourceUrl>,
    /// Revokes certificates.
    #[serde(default, deserialize_with = "or_default")]
    pub revoke_cert: Option<ResourceUrl>,
    /// Replaces an account's key.
    #[serde(default, deserialize_with = "or_default")]
    pub key_change: Option<ResourceUrl>,
    /// Returns renewal information (RFC 9773).
    #[serde(default, deserialize_with = "or_default")]
    pub renewal_info: Option<ResourceUrl>,
    /// Facts about the CA.
    #[serde(default, deserialize_with = "or_default")]
    pub meta: Meta,
}

impl Directory {
    /// Returns the URL of a service.
    pub(in crate::acme) fn url(&self, service: Service) -> Option<&Url> {
        match service {
            Service::Nonce => self.new_nonce.as_deref(),
            Service::Account => self.new_account.as_deref(),
            Service::Order => self.new_order.as_deref(),
        }
    }
}

/// Facts about a CA (RFC 8555 section 7.1.1).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// The terms of service that an account agrees to.
    #[serde(deserialize_with = "or_default")]
    pub terms_of_service: Option<String>,
    /// The CA's website.
    #[serde(deserialize_with = "or_default")]
    pub website: Option<String>,
    /// The names of this CA in CAA records.
    #[serde(deserialize_with = "items")]
    pub caa_identities: Vec<String>,
    /// Whether a new account needs an external account binding.
    #[serde(deserialize_with = "or_default")]
    pub external_account_required: bool,
    /// The certificate profiles, each with its description.
    #[serde(deserialize_with = "described_names")]
    pub profiles: BTreeMap<String, String>,
}

/// An account (RFC 8555 section 7.1.2).
#[derive(Debug, Default, Deserialize)]
pub(in crate::acme) struct AccountResource {
    /// URL of the account's list of orders, which many CAs do not have.
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::acme) orders: Option<ResourceUrl>,
    /// The contact, which many CAs do not keep.
    #[serde(default, deserialize_with = "items")]
    pub(in crate::acme) contact: Vec<String>,
}

/// The status of an order (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Not all authorizations are valid.
    Pending,
    /// All authorizations are valid. The CSR is due.
    Ready,
    /// The CA is issuing the certificate.
    Processing,
    /// The certificate is issued.
    Valid,
    /// The order failed or expired.
    Invalid,
    /// A status that RFC 8555 does not define.
    #[serde(untagged)]
    Unknown(String),
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => f.write_str(&printable(word, WORD)),
            known => known.serialize(f),
        }
    }
}

/// An order (RFC 8555 section 7.1.3).
#[derive(Clone, Debug, Default, Deserialize)]
pub(in crate::acme) struct OrderResource {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::acme) status: Option<OrderStatus>,
    #[serde(default, deserialize_with = "items")]
    pub(in crate::acme) identifiers: Vec<Identifier>,
    #[serde(default, deserialize_with = "items")]
    pub(in crate::acme) authorizations: Vec<ResourceUrl>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::acme) finalize: Option<ResourceUrl>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::acme) certificate: Option<ResourceUrl>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::acme) error: Option<Box<Problem>>,
    /// A time in RFC 3339, except at CAs that write something else.
    #[serde(default)]
    pub(in crate::acme) expires: serde_json::Value,
}

impl OrderResource {
    /// Returns the status. An order without one is valid if it has a certificate, else pending.
    pub(in crate::acme) fn status(&self) -> &OrderStatus {
        let without = || match self.certificate {
            Some(_) => &OrderStatus::Valid,
            None => &OrderStatus::Pending,
        };
        self.status.as_ref().unwrap_or_else(without)
    }

    /// Takes what a later response leaves out from an earlier one. Status, certificate and error are only those of the later
    /// one.
    pub(in crate::acme) fn completed_from(mut self, earlier: &Self) -> Self {
        if self.identifiers.is_empty() {
            self.identifiers.clone_from(&earlier.identifiers);
        }
        if self.authorizations.is_empty() {
            self.authorizations.clone_from(&earlier.authorizations);
        }
        if self.finalize.is_none() {
            self.finalize.clone_from(&earlier.finalize);
        }
        if self.expires.is_null() {
            self.expires.clone_from(&earlier.expires);
        }
        self
    }
}

/// The status of an authorization (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationStatus {
    /// A challenge must be solved.
    Pending,
    /// The account is authorized for the identifier.
    Valid,
    /// A challenge failed.
    Invalid,
    /// The account has deactivated it.
    Deactivated,
    /// It has expired.
    Expired,
    /// The CA has revoked it.
    Revoked,
    /// A status that RFC 8555 does not define.
    #[serde(untagged)]
    Unknown(String),
}

impl fmt::Display for AuthorizationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => f.write_str(&printable(word, WORD)),
            known => known.serialize(f),
        }
    }
}

/// An authorization (RFC 8555 section 7.1.4).
#[derive(Clone, Debug, Deserialize)]
pub(in crate::acme) struct AuthorizationResource {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::acme) identifier: Option<Identifier>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::acme) status: Option<AuthorizationStatus>,
    /// Whether it is for the wildcard of the identifier.
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::acme) wildcard: bool,
    #[serde(default, deserialize_with = "items")]
    pub(in crate::acme) challenges: Vec<ChallengeResource>,
}

impl AuthorizationResource {
    /// Returns the status. An authorization without one is valid if one of its challenges is, else pending.
    pub(in crate::acme) fn status(&self) -> AuthorizationStatus {
        let is_proved = || {
            let mut challenges = self.challenges.iter();
            challenges.any(|challenge| challenge.status == ChallengeStatus::Valid)
        };
        match &self.status {
            Some(status) => status.clone(),
            None if is_proved() => AuthorizationStatus::Valid,
            None => AuthorizationStatus::Pending,
        }
    }

    /// Returns the first challenge of a type.
    pub(in crate::acme) fn challenge(&self, kind: &ChallengeType) -> Option<&ChallengeResource> {
        self.challenges
            .iter()
            .find(|challenge| challenge.r#type == *kind)
    }

    /// Returns the types of all challenges except one.
    pub(in crate::acme) fn types_beside(&self, kind: &ChallengeType) -> Vec<ChallengeType> {
        let types = self.challenges.iter().map(|challenge| &challenge.r#type);
        types.filter(|other| *other != kind).cloned().collect()
    }

    /// Returns the problem of a failed challenge, which the order may lack (RFC 8555 section 7.5.1).
    pub(in crate::acme) fn problem(&self) -> Option<Box<Problem>> {
        self.challenges
            .iter()
            .find_map(|challenge| challenge.error.clone())
    }
}

/// The type of a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChallengeType {
    /// A file on port 80 (RFC 8555 section 8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A certificate on port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A TXT record (RFC 8555 section 8.4).
    #[serde(rename = "dns-01")]
    Dns01,
    /// A TXT record that is set once (draft-ietf-acme-dns-persist).
    #[serde(rename = "dns-persist-01")]
    DnsPersist01,
    /// A type that this client does not know.
    #[serde(untagged)]
    Unknown(String),
}

impl fmt::Display for ChallengeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => f.write_str(&printable(word, WORD)),
            known => known.serialize(f),
        }
    }
}

/// The status of a challenge (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::acme) enum ChallengeStatus {
    #[default]
    Pending,
    Processing,
    Valid,
    Invalid,
    #[serde(other)]
    Unknown,
}

/// A challenge (RFC 8555 section 7.1.5). Some types have no token.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::acme) struct ChallengeResource {
    pub(in crate::acme) r#type: ChallengeType,
    pub(in crate::acme) url: ResourceUrl,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::acme) status: ChallengeStatus,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::acme) token: Option<String>,
    /// The CA's names in persistent records.
    #[serde(default, rename = "issuer-domain-names", deserialize_with = "items")]
    pub(in crate::acme) issuer_domain_names: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::acme) error: Option<Box<Problem>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_with_unknown_types_and_statuses_is_read() {
        let authorization: AuthorizationResource = serde_json::from_str(
            r#"{"identifier":{"type":"dns","value":"Example.org"},"status":"haunted","wildcard":true,
                "challenges":[
                  {"type":"dns-persist-01","url":"https://ca.test/1","status":"pending","issuer":"x"},
                  {"type":"http-01","url":"https://ca.test/2","status":"dreaming","token":"t"}]}"#,
        )
        .unwrap();
        assert_eq!(
            authorization.status(),
            AuthorizationStatus::Unknown("haunted".to_owned())
        );
        assert_eq!(
            authorization.identifier,
            Some(Identifier::Dns("example.org".to_owned()))
        );
        assert_eq!(authorization.challenges[0].token, None);
        let http = authorization.challenge(&ChallengeType::Http01).unwrap();
        assert_eq!(http.status, ChallengeStatus::Unknown);
        assert!(authorization.challenge(&ChallengeType::Dns01).is_none());
    }

    #[test]
    fn an_unknown_word_cannot_end_a_line_or_fill_it() {
        let word = format!("a\nb{}", "x".repeat(1000));
        let (order, authorization) = (
            OrderStatus::Unknown(word.clone()).to_string(),
            AuthorizationStatus::Unknown(word.clone()).to_string(),
        );
        for shown in [
            order,
            authorization,
            ChallengeType::Unknown(word).to_string(),
        ] {
            assert!(shown.starts_with("a\\nbx") && shown.len() < 50, "{shown}");
        }
    }

    #[test]
    fn an_order_may_have_an_unknown_status() {
        let order: OrderResource = serde_json::from_str(
            r#"{"status":"deactivated","identifiers":[],"authorizations":[],"finalize":"https://ca.test/f"}"#,
        )
        .unwrap();
        assert_eq!(order.status().to_string(), "deactivated");
    }
}
