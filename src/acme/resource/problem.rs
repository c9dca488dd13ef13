//! Problem documents (RFC 8555 section 6.7, RFC 7807).

use std::fmt;

use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use serde::{Deserialize, Deserializer};

use super::identifier::Identifier;
use super::json::{items, or_default, read};
use crate::printable::quoted;

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The kind of problem.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub kind: ProblemKind,
    /// The CA's description.
    #[serde(default, deserialize_with = "or_default")]
    pub detail: String,
    /// A URL with more information. For `userActionRequired`, the page on which to act.
    #[serde(default, deserialize_with = "or_default")]
    pub instance: Option<String>,
    /// The problems of single identifiers (RFC 8555 section 6.7.1).
    #[serde(default, deserialize_with = "items")]
    pub subproblems: Vec<Subproblem>,
}

/// The problem of one identifier of an order (RFC 8555 section 6.7.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Subproblem {
    /// The kind of problem.
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    pub kind: ProblemKind,
    /// The CA's description.
    #[serde(default, deserialize_with = "or_default")]
    pub detail: String,
    /// The identifier with the problem.
    #[serde(default, deserialize_with = "or_default")]
    pub identifier: Option<Identifier>,
}

/// The kinds of problem of RFC 8555 section 6.7.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub enum ProblemKind {
    /// The CA does not know the account.
    AccountDoesNotExist,
    /// The certificate is revoked already.
    AlreadyRevoked,
    /// The CSR is not acceptable.
    #[serde(rename = "badCSR")]
    BadCsr,
    /// The nonce is not acceptable.
    BadNonce,
    /// The key is not acceptable.
    BadPublicKey,
    /// The revocation reason is not allowed.
    BadRevocationReason,
    /// The signature algorithm is not supported.
    BadSignatureAlgorithm,
    /// A CAA record forbids the CA to issue.
    Caa,
    /// Several problems; see the subproblems.
    Compound,
    /// The validator could not connect.
    Connection,
    /// The request conflicts with another one that is running.
    Conflict,
    /// The validator's DNS lookup failed.
    Dns,
    /// The account needs an external account binding.
    ExternalAccountRequired,
    /// The validator received an unexpected response.
    IncorrectResponse,
    /// The contact is not acceptable.
    InvalidContact,
    /// The profile is not available (draft-ietf-acme-profiles).
    InvalidProfile,
    /// The request is malformed.
    Malformed,
    /// The order is not ready to be finalized.
    OrderNotReady,
    /// A limit was exceeded.
    RateLimited,
    /// The CA does not issue for the identifier.
    RejectedIdentifier,
    /// The CA failed.
    ServerInternal,
    /// The validator's TLS failed.
    Tls,
    /// The account may not do this, or the answer to a challenge was wrong.
    Unauthorized,
    /// The kind of contact is not supported.
    UnsupportedContact,
    /// The kind of identifier is not supported.
    UnsupportedIdentifier,
    /// The operator must do something at the CA. Old servers still use the name in drafts of the RFC.
    #[serde(alias = "agreementRequired")]
    UserActionRequired,
    /// A kind that this client does not know.
    #[serde(skip)]
    Unknown(String),
}

impl ProblemKind {
    /// `true` if the same request cannot succeed until the operator has changed something.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::BadCsr
            | Self::BadPublicKey
            | Self::BadSignatureAlgorithm
            | Self::Caa
            | Self::ExternalAccountRequired
            | Self::InvalidContact
            | Self::InvalidProfile
            | Self::RejectedIdentifier
            | Self::UnsupportedContact
            | Self::UnsupportedIdentifier
            | Self::UserActionRequired => true,
            Self::AccountDoesNotExist
            | Self::AlreadyRevoked
            | Self::BadNonce
            | Self::BadRevocationReason
            | Self::Compound
            | Self::Conflict
            | Self::Connection
            | Self::Dns
            | Self::IncorrectResponse
            | Self::Malformed
            | Self::OrderNotReady
            | Self::RateLimited
            | Self::ServerInternal
            | Self::Tls
            | Self::Unauthorized
            | Self::Unknown(_) => false,
        }
    }

    /// `true` if the problem may be specific to the type of challenge, so that another type may succeed.
    #[must_use]
    pub fn is_of_challenge(&self) -> bool {
        matches!(
            self,
            Self::Connection | Self::Dns | Self::IncorrectResponse | Self::Tls | Self::Unauthorized
        )
    }

    /// `true` if the problem is with the account or the nonce, whatever the request was.
    #[must_use]
    pub fn is_of_account(&self) -> bool {
        matches!(
            self,
            Self::AccountDoesNotExist
                | Self::BadNonce
                | Self::ExternalAccountRequired
                | Self::RateLimited
                | Self::UserActionRequired
        )
    }

    /// Returns the cause in plain words, without the CA's description.
    fn cause(&self) -> &str {
        match self {
            Self::AccountDoesNotExist => "the CA does not know the account",
            Self::AlreadyRevoked => "the certificate is revoked already",
            Self::BadCsr => "the CA does not accept the certificate request",
            Self::BadNonce => "the CA did not accept the nonce",
            Self::BadPublicKey => "the CA does not accept the key",
            Self::BadRevocationReason => "the CA does not accept the reason to revoke",
            Self::BadSignatureAlgorithm => "the CA does not accept ES256 signatures",
            Self::Caa => "a CAA record in DNS does not allow this CA",
            Self::Compound => "the CA found several problems",
            Self::Conflict => "the CA is already working on this",
            Self::Connection => "the CA could not connect to this machine",
            Self::Dns => "the CA could not look the name up in DNS",
            Self::ExternalAccountRequired => {
                "the CA registers accounts only with external account binding (EAB)"
            }
            Self::IncorrectResponse => "the CA got a wrong answer to the challenge",
            Self::InvalidContact => "the CA does not accept the contact address",
            Self::InvalidProfile => "the CA does not allow the profile of the order",
            Self::Malformed => "the CA did not understand the request",
            Self::OrderNotReady => "the order is not ready to be finalized",
            Self::RateLimited => "the CA's rate limit is reached",
            Self::RejectedIdentifier => "the CA refuses to issue for this name",
            Self::ServerInternal => "the CA failed",
            Self::Tls => "the CA could not make a TLS connection to this machine",
            Self::Unauthorized => "the CA does not allow this",
            Self::UnsupportedContact => "the CA does not support this kind of contact",
            Self::UnsupportedIdentifier => "the CA does not issue for names of this kind",
            Self::UserActionRequired => "the CA asks the operator to act first",
            Self::Unknown(urn) => match urn.as_str() {
                "" | "about:blank" => "the CA refused",
                urn => urn,
            },
        }
    }
}

impl Default for ProblemKind {
    fn default() -> Self {
        Self::Unknown("about:blank".to_owned())
    }
}

impl<'de> Deserialize<'de> for ProblemKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let urn = String::deserialize(deserializer)?;
        let word = urn.strip_prefix("urn:ietf:params:acme:error:");
        let word = word.unwrap_or(&urn).into_deserializer();
        let known: Result<Self, ValueError> = Self::deserialize(word);
        Ok(known.unwrap_or(Self::Unknown(urn)))
    }
}

impl Problem {
    /// Parses a problem document. Returns `None` if the bytes are something else.
    pub(in crate::acme) fn parse(body: &[u8]) -> Option<Box<Self>> {
        let problem: Self = read(body, None).ok()?;
        let is_empty = problem.kind == ProblemKind::default() && problem.detail.is_empty();
        (!is_empty).then(|| Box::new(problem))
    }

    /// Returns the CA's description of the whole problem and of each identifier's, safe to print.
    #[must_use]
    pub fn details(&self) -> String {
        let mut text = self.detail.clone();
        for subproblem in &self.subproblems {
            if !text.is_empty() {
                text.push_str(", ");
            }
            if let Some(identifier) = &subproblem.identifier {
                text.push_str(&format!("{identifier}: "));
            }
            text.push_str(&subproblem.detail);
        }
        quoted(&text)
    }

    /// Replaces a kind that speaks of a name, for a refusal of a request that is not about a name. Some CAs refuse a service
    /// that they do not have with such a kind.
    pub(in crate::acme) fn not_about_name(mut self) -> Self {
        let is_about_name = matches!(
            self.kind,
            ProblemKind::Caa
                | ProblemKind::Connection
                | ProblemKind::Dns
                | ProblemKind::IncorrectResponse
                | ProblemKind::RejectedIdentifier
                | ProblemKind::Tls
                | ProblemKind::UnsupportedIdentifier
        );
        if is_about_name {
            self.kind = ProblemKind::default();
        }
        self
    }

    fn fix(&self) -> Option<String> {
        match (&self.kind, &self.instance) {
            (ProblemKind::UserActionRequired, Some(page)) => Some(format!("see {}", quoted(page))),
            (ProblemKind::ExternalAccountRequired, _) => Some(
                "ask the CA for EAB credentials and set them as `eab` of the issuer".to_owned(),
            ),
            (ProblemKind::InvalidContact | ProblemKind::UnsupportedContact, _) => {
                Some("set an e-mail address that can receive mail".to_owned())
            }
            (ProblemKind::Caa, _) => {
                Some("add the CA to the CAA record, or remove the record".to_owned())
            }
            _ => None,
        }
    }
}

/// Writes the cause, the CA's description and, if there is one, the fix.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(self.kind.cause()))?;
        let details = self.details();
        if !details.is_empty() {
            write!(f, ": {}", details.trim_end_matches('.'))?;
        }
        match self.fix() {
            Some(fix) => write!(f, "; {fix}"),
            None => Ok(()),
        }
    }
}

/// The start of a response that is not a problem document, safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    pub(in crate::acme) fn of(body: &[u8]) -> Self {
        let start = &body[..body.len().min(200)];
        Self(quoted(&String::from_utf8_lossy(start)))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the end of a sentence about the response.
    pub(in crate::acme) fn quoted(&self) -> String {
        match self.as_str() {
            "" => " with an empty body".to_owned(),
            text => format!(": {text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> Problem {
        *Problem::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_compound_problem_names_each_identifier() {
        let problem = problem(
            r#"{"type":"urn:ietf:params:acme:error:compound","detail":"Errors.","status":403,
                "subproblems":[
                  {"type":"urn:ietf:params:acme:error:caa","detail":"forbidden","identifier":{"type":"dns","value":"a.example"}},
                  {"type":"urn:ietf:params:acme:error:haunted","detail":"boo","identifier":{"type":"ghost","value":"x"}}]}"#,
        );
        assert_eq!(
            problem.to_string(),
            "the CA found several problems: Errors., a.example: forbidden, boo"
        );
        assert_eq!(problem.subproblems[0].kind, ProblemKind::Caa);
        assert_eq!(problem.subproblems[1].identifier, None);
    }

    #[test]
    fn every_kind_of_the_rfc_is_known() {
        let words = [
            "accountDoesNotExist",
            "alreadyRevoked",
            "badCSR",
            "badNonce",
            "badPublicKey",
            "badRevocationReason",
            "badSignatureAlgorithm",
            "caa",
            "compound",
            "connection",
            "dns",
            "externalAccountRequired",
            "incorrectResponse",
            "invalidContact",
            "malformed",
            "orderNotReady",
            "rateLimited",
            "rejectedIdentifier",
            "serverInternal",
            "tls",
            "unauthorized",
            "unsupportedContact",
            "unsupportedIdentifier",
            "userActionRequired",
        ];
        for word in words {
            let parsed = problem(&format!(
                r#"{{"type":"urn:ietf:params:acme:error:{word}"}}"#
            ));
            assert!(!matches!(parsed.kind, ProblemKind::Unknown(_)), "{word}");
        }
    }

    #[test]
    fn a_problem_is_printed_with_its_fix() {
        let terms = problem(
            r#"{"type":"urn:ietf:params:acme:error:userActionRequired","detail":"new terms","instance":"https://ca.test/tos"}"#,
        );
        assert_eq!(
            terms.to_string(),
            "the CA asks the operator to act first: new terms; see https://ca.test/tos"
        );
        assert!(terms.kind.is_permanent());
        let binding = problem(r#"{"type":"urn:ietf:params:acme:error:externalAccountRequired"}"#);
        assert!(binding.to_string().contains("external account binding"));
    }

    #[test]
    fn a_body_without_a_problem_document_is_none() {
        for body in ["", "<html>", "{}", "[]", r#"{"status":"pending"}"#, "null"] {
            assert_eq!(Problem::parse(body.as_bytes()), None, "{body}");
        }
    }
}
