//! The resources of RFC 8555 section 7.1 as they stand on the wire. Unknown fields are ignored and unknown words kept, so
//! that a CA may learn new ones.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::problem::Problem;
use crate::name::{HostName, HostPattern};

/// An absolute URL that the CA gave for one of its resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceUrl(Url);

impl ResourceUrl {
    /// The URL itself.
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

/// Where the CA's services are (RFC 8555 section 7.1.1).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    /// Gives nonces.
    pub new_nonce: ResourceUrl,
    /// Makes and finds accounts.
    pub new_account: ResourceUrl,
    /// Takes orders.
    pub new_order: ResourceUrl,
    /// Revokes certificates.
    pub revoke_cert: Option<ResourceUrl>,
    /// Replaces an account's key.
    pub key_change: Option<ResourceUrl>,
    /// Says when to renew (RFC 9773).
    pub renewal_info: Option<ResourceUrl>,
    /// What the CA says of itself.
    #[serde(default)]
    pub meta: Meta,
}

/// What a CA says of itself (RFC 8555 section 7.1.1).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// The terms that registering agrees to.
    pub terms_of_service: Option<String>,
    /// The CA's pages.
    pub website: Option<String>,
    /// The names by which CAA records allow this CA.
    pub caa_identities: Vec<String>,
    /// Whether an account must be bound to one that the CA knows already.
    pub external_account_required: bool,
    /// The certificate profiles on offer, with a description of each.
    pub profiles: BTreeMap<String, String>,
}

/// What a certificate is asked for (RFC 8555 section 7.1.4, RFC 8738).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identifier {
    /// A lower-case name of A-labels, in an order perhaps with a `*.` before it.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl Identifier {
    /// The identifier of an order for `pattern`; none for `*`, which no CA signs.
    #[must_use]
    pub fn of_pattern(pattern: &HostPattern) -> Option<Self> {
        match pattern {
            HostPattern::Exact(name) => Some(name.into()),
            HostPattern::Wildcard(_) => Some(Self::Dns(pattern.to_string())),
            HostPattern::Any => None,
        }
    }

    /// The identifier as a URL's host.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            name => name.to_string(),
        }
    }
}

impl From<&HostName> for Identifier {
    fn from(name: &HostName) -> Self {
        match name.ip() {
            Some(ip) => Self::Ip(ip),
            None => Self::Dns(name.as_str().to_owned()),
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => write!(f, "{ip}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct WireIdentifier {
    r#type: String,
    value: String,
}

impl WireIdentifier {
    fn parse(self) -> Option<Identifier> {
        match self.r#type.as_str() {
            "dns" => Some(Identifier::Dns(self.value.to_ascii_lowercase())),
            "ip" => self.value.parse().ok().map(Identifier::Ip),
            _ => None,
        }
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let r#type = match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
        };
        WireIdentifier {
            r#type: r#type.to_owned(),
            value: self.to_string(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WireIdentifier::deserialize(deserializer)?
            .parse()
            .ok_or_else(|| serde::de::Error::custom("an identifier that is neither dns nor ip"))
    }
}

/// Reads an identifier and takes one of an unknown type for none.
pub(super) fn identifier_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Identifier>, D::Error> {
    Ok(Option::<WireIdentifier>::deserialize(deserializer)?.and_then(WireIdentifier::parse))
}

/// An account (RFC 8555 section 7.1.2).
#[derive(Debug, Deserialize)]
pub(super) struct AccountResource {
    /// The list of the account's orders; many CAs leave it out.
    pub(super) orders: Option<ResourceUrl>,
    /// Many CAs keep none.
    #[serde(default)]
    pub(super) contact: Vec<String>,
}

/// Where an order stands (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Some authorization is missing.
    Pending,
    /// All authorizations are there; the CSR is awaited.
    Ready,
    /// The CA makes the certificate.
    Processing,
    /// The certificate is there.
    Valid,
    /// The order failed or lapsed.
    Invalid,
    /// A word that RFC 8555 does not have.
    #[serde(untagged)]
    Unknown(String),
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Unknown(word) => word,
        })
    }
}

/// An order (RFC 8555 section 7.1.3).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct OrderResource {
    pub(super) status: OrderStatus,
    pub(super) identifiers: Vec<Identifier>,
    pub(super) authorizations: Vec<ResourceUrl>,
    pub(super) finalize: ResourceUrl,
    pub(super) certificate: Option<ResourceUrl>,
    pub(super) error: Option<Box<Problem>>,
    /// A time, but for CAs that write something else.
    #[serde(default)]
    pub(super) expires: serde_json::Value,
}

/// Where an authorization stands (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationStatus {
    /// A challenge must be met.
    Pending,
    /// The account may have certificates for the identifier.
    Valid,
    /// A challenge failed.
    Invalid,
    /// The account gave it up.
    Deactivated,
    /// It is too old.
    Expired,
    /// The CA took it back.
    Revoked,
    /// A word that RFC 8555 does not have.
    #[serde(untagged)]
    Unknown(String),
}

impl fmt::Display for AuthorizationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unknown(word) => word,
        })
    }
}

/// An authorization (RFC 8555 section 7.1.4).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct AuthorizationResource {
    pub(super) identifier: Identifier,
    pub(super) status: AuthorizationStatus,
    /// Whether it is for the names one label below.
    #[serde(default)]
    pub(super) wildcard: bool,
    #[serde(default)]
    pub(super) challenges: Vec<ChallengeResource>,
}

impl AuthorizationResource {
    /// The first challenge of a type.
    pub(super) fn challenge(&self, kind: &ChallengeType) -> Option<&ChallengeResource> {
        self.challenges
            .iter()
            .find(|challenge| challenge.r#type == *kind)
    }

    /// The types of the challenges but one.
    pub(super) fn types_beside(&self, kind: &ChallengeType) -> Vec<ChallengeType> {
        let types = self.challenges.iter().map(|challenge| &challenge.r#type);
        types.filter(|other| *other != kind).cloned().collect()
    }

    /// Why a challenge failed; the order need not say so (RFC 8555 section 7.5.1).
    pub(super) fn problem(&self) -> Option<Box<Problem>> {
        self.challenges
            .iter()
            .find_map(|challenge| challenge.error.clone())
    }
}

/// How a name is proved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
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
        f.write_str(match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Dns01 => "dns-01",
            Self::DnsPersist01 => "dns-persist-01",
            Self::Unknown(word) => word,
        })
    }
}

/// Where a challenge stands (RFC 8555 section 7.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ChallengeStatus {
    Pending,
    Processing,
    Valid,
    Invalid,
    #[serde(other)]
    Unknown,
}

/// A challenge (RFC 8555 section 7.1.5); some types have no token.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ChallengeResource {
    pub(super) r#type: ChallengeType,
    pub(super) url: ResourceUrl,
    pub(super) status: ChallengeStatus,
    pub(super) token: Option<String>,
    /// The names that a persistent record may know the CA by.
    #[serde(default, rename = "issuer-domain-names")]
    pub(super) issuer_domain_names: Vec<String>,
    pub(super) error: Option<Box<Problem>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_made_from_a_name_an_address_or_a_wildcard() {
        let name = HostName::parse("www.example.org").unwrap();
        let ip = HostName::parse("::1").unwrap();
        let wildcard = HostPattern::parse("*.example.org").unwrap();
        assert_eq!(
            serde_json::to_string(&Identifier::from(&name)).unwrap(),
            r#"{"type":"dns","value":"www.example.org"}"#
        );
        assert_eq!(
            serde_json::to_string(&Identifier::from(&ip)).unwrap(),
            r#"{"type":"ip","value":"::1"}"#
        );
        assert_eq!(
            Identifier::of_pattern(&wildcard),
            Some(Identifier::Dns("*.example.org".to_owned()))
        );
        assert_eq!(Identifier::of_pattern(&HostPattern::Any), None);
    }

    #[test]
    fn an_address_is_read_in_any_spelling() {
        let long: Identifier = serde_json::from_str(r#"{"type":"ip","value":"0:0::1"}"#).unwrap();
        assert_eq!(long, Identifier::Ip("::1".parse().unwrap()));
    }

    #[test]
    fn an_authorization_with_types_and_words_of_the_future_is_read() {
        let authorization: AuthorizationResource = serde_json::from_str(
            r#"{"identifier":{"type":"dns","value":"Example.org"},"status":"haunted","wildcard":true,
                "challenges":[
                  {"type":"dns-persist-01","url":"https://ca.test/1","status":"pending","issuer":"x"},
                  {"type":"http-01","url":"https://ca.test/2","status":"dreaming","token":"t"}]}"#,
        )
        .unwrap();
        assert_eq!(
            authorization.status,
            AuthorizationStatus::Unknown("haunted".to_owned())
        );
        assert_eq!(
            authorization.identifier,
            Identifier::Dns("example.org".to_owned())
        );
        assert_eq!(authorization.challenges[0].token, None);
        let http = authorization.challenge(&ChallengeType::Http01).unwrap();
        assert_eq!(http.status, ChallengeStatus::Unknown);
        assert!(authorization.challenge(&ChallengeType::Dns01).is_none());
    }

    #[test]
    fn an_order_may_stand_in_a_way_that_the_rfc_does_not_name() {
        let order: OrderResource = serde_json::from_str(
            r#"{"status":"deactivated","identifiers":[],"authorizations":[],"finalize":"https://ca.test/f"}"#,
        )
        .unwrap();
        assert_eq!(order.status.to_string(), "deactivated");
    }
}
