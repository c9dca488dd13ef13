//! The meaning of an error for its order: whether the order is over, or another type of challenge can help.

use http::StatusCode;

use super::error::Error;
use super::step::Step;
use crate::acme::resource::{ChallengeType, ProblemKind};

impl Error {
    /// Returns the step that failed, if the error is of a request.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::NotHttps { step, .. }
            | Self::LongUrl { step, .. }
            | Self::Connect { step, .. }
            | Self::Lost { step, .. }
            | Self::Timeout { step, .. }
            | Self::TooLong { step, .. }
            | Self::Refused { step, .. }
            | Self::Status { step, .. }
            | Self::Nonces { step, .. }
            | Self::Json { step, .. }
            | Self::Header { step, .. } => Some(*step),
            Self::Binding { refusal, .. } => refusal.step(),
            _ => None,
        }
    }

    /// `true` if no request was sent because a key, a root certificate or the system's cryptography cannot be used.
    #[must_use]
    pub fn is_about_this_machine(&self) -> bool {
        matches!(
            self,
            Self::Crypto
                | Self::KeyPem(_)
                | Self::Key(_)
                | Self::Root(_)
                | Self::NoRoots(_)
                | Self::Setup(_)
        )
    }

    /// Returns the other types of challenge that may work in a new order: the CA offers them, and the problem was specific
    /// to the type that was tried.
    #[must_use]
    pub fn alternatives(&self) -> &[ChallengeType] {
        match self {
            Self::Authorization {
                problem: Some(problem),
                alternatives,
                ..
            } if problem.kind.is_of_challenge() => alternatives,
            _ => &[],
        }
    }

    /// `true` if the order can no longer lead to a certificate. After any other error, the order itself must be read.
    #[must_use]
    pub fn ends_order(&self) -> bool {
        match self {
            Self::NoChallenge { .. } | Self::Token { .. } | Self::Solver { .. } => true,
            Self::Authorization { .. }
            | Self::AuthorizationStatus { .. }
            | Self::AuthorizationTimeout { .. } => true,
            Self::OrderStatus { .. } | Self::NoCertificate | Self::Chain(_) => true,
            Self::Status { status, .. } => is_refusal(*status),
            Self::Refused {
                status, problem, ..
            } => {
                let is_open = problem.kind == ProblemKind::OrderNotReady;
                is_refusal(*status) && !is_open && !problem.kind.is_of_account()
            }
            _ => false,
        }
    }

    /// Returns the type of the challenge that failed.
    #[must_use]
    pub fn challenge(&self) -> Option<&ChallengeType> {
        match self {
            Self::Authorization { challenge, .. } => Some(challenge),
            _ => None,
        }
    }

    /// Builds a failed authorization with the other types that the CA offered.
    pub(in crate::acme) fn beside(self, alternatives: Vec<ChallengeType>) -> Self {
        match self {
            Self::Authorization {
                identifier,
                challenge,
                problem,
                ..
            } => Self::Authorization {
                identifier,
                challenge,
                problem,
                alternatives,
            },
            other => other,
        }
    }
}

fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::acme::{Excerpt, Identifier, Problem, Step};

    fn problem(kind: &str) -> Box<Problem> {
        let json = format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"so it is"}}"#);
        Problem::parse(json.as_bytes()).unwrap()
    }

    fn authorization(kind: &str) -> Error {
        Error::Authorization {
            identifier: Identifier::Dns("www.example.org".to_owned()),
            challenge: ChallengeType::Http01,
            problem: Some(problem(kind)),
            alternatives: vec![ChallengeType::TlsAlpn01],
        }
    }

    #[test]
    fn another_challenge_type_may_help_if_the_problem_is_specific_to_the_failed_one() {
        for (kind, helps) in [
            ("connection", true),
            ("dns", true),
            ("tls", true),
            ("unauthorized", true),
            ("incorrectResponse", true),
            ("caa", false),
            ("rejectedIdentifier", false),
            ("rateLimited", false),
            ("serverInternal", false),
        ] {
            let error = authorization(kind);
            assert_eq!(!error.alternatives().is_empty(), helps, "{kind}");
        }
    }

    #[test]
    fn an_order_ends_by_a_decision_of_the_ca_and_not_by_its_failure() {
        let refused = |status, kind| Error::Refused {
            step: Step::Order,
            status: StatusCode::from_u16(status).unwrap(),
            problem: problem(kind),
            retry_after: None,
        };
        let answered = |status| Error::Status {
            step: Step::Order,
            status: StatusCode::from_u16(status).unwrap(),
            excerpt: Excerpt::of(b""),
            retry_after: None,
        };
        let limit = Duration::from_secs(1);
        for (error, over) in [
            (authorization("connection"), true),
            (answered(404), true),
            (refused(404, "malformed"), true),
            (refused(403, "unauthorized"), true),
            (refused(400, "badCSR"), true),
            (Error::Chain(crate::pem::Error::NoCertificate), true),
            (answered(503), false),
            (refused(500, "serverInternal"), false),
            (refused(429, "rateLimited"), false),
            (refused(400, "badNonce"), false),
            (refused(400, "accountDoesNotExist"), false),
            (refused(403, "userActionRequired"), false),
            (refused(403, "orderNotReady"), false),
            (Error::OrderTimeout { limit }, false),
        ] {
            assert_eq!(error.ends_order(), over, "{error}");
        }
    }
}
