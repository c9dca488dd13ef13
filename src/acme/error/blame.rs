//! The party that caused a failure, which decides whether another CA could succeed.

use super::error::Error;
use crate::acme::resource::{AuthorizationStatus, Problem, ProblemKind};

/// Party that caused a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The CA, or the account at it: any name would fail now.
    Ca,
    /// The CA does not issue for this name. Another CA may.
    CaForName,
    /// The name: no CA could validate it.
    Name,
    /// This machine.
    Machine,
}

impl Error {
    /// Returns the party that caused the failure.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Crypto | Self::Solver { .. } | Self::Preparation { .. } => Blame::Machine,
            Self::CertificateKey(_) | Self::CertificateKeyPem(_) => Blame::Machine,
            Self::Authorization { problem, .. } => of_validation(problem.as_deref()),
            Self::OrderStatus {
                problem: Some(problem),
                ..
            } => of_validation(Some(problem)),
            Self::AuthorizationStatus {
                status: AuthorizationStatus::Invalid,
                ..
            } => Blame::Name,
            Self::NoChallenge { .. } => Blame::CaForName,
            Self::Refused { problem, .. } => {
                if is_about_name(problem) {
                    Blame::CaForName
                } else {
                    Blame::Ca
                }
            }
            _ => Blame::Ca,
        }
    }
}

/// Tells a CA that failed, is at a limit or must not issue from one that looked and found something else.
fn of_validation(problem: Option<&Problem>) -> Blame {
    match problem {
        Some(problem) if is_about_name(problem) => Blame::CaForName,
        Some(problem) => match problem.kind {
            ProblemKind::ServerInternal | ProblemKind::RateLimited => Blame::Ca,
            _ => Blame::Name,
        },
        None => Blame::Name,
    }
}

fn is_about_name(problem: &Problem) -> bool {
    let mut kinds = std::iter::once(&problem.kind).chain(
        problem
            .subproblems
            .iter()
            .map(|subproblem| &subproblem.kind),
    );
    kinds.any(|kind| {
        matches!(
            kind,
            ProblemKind::Caa | ProblemKind::RejectedIdentifier | ProblemKind::UnsupportedIdentifier
        )
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::acme::{ChallengeType, Identifier, Step};

    fn problem(kind: &str) -> Box<Problem> {
        let json = format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"x"}}"#);
        Problem::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn another_ca_may_succeed_unless_the_name_cannot_be_proved() {
        let refused = |kind| Error::Refused {
            step: Step::NewOrder,
            status: StatusCode::FORBIDDEN,
            problem: problem(kind),
            retry_after: None,
        };
        let failed = |kind| Error::Authorization {
            identifier: Identifier::Dns("www.example.org".to_owned()),
            challenge: ChallengeType::Http01,
            problem: Some(problem(kind)),
            alternatives: Vec::new(),
        };
        for (error, blame) in [
            (refused("rateLimited"), Blame::Ca),
            (refused("externalAccountRequired"), Blame::Ca),
            (refused("serverInternal"), Blame::Ca),
            (refused("rejectedIdentifier"), Blame::CaForName),
            (failed("caa"), Blame::CaForName),
            (failed("serverInternal"), Blame::Ca),
            (failed("connection"), Blame::Name),
            (failed("dns"), Blame::Name),
            (failed("unauthorized"), Blame::Name),
            (Error::Crypto, Blame::Machine),
        ] {
            assert_eq!(error.blame(), blame, "{error}");
        }
    }
}
