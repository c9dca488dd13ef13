//! What can go wrong between this machine and the CA, whose fault it is, and what the operator can do about it.

use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::root_cause::{is_unknown_issuer, words_of_root};
use super::sentence::{allowed_again, authority, because, failed_authorization, listed};
use super::solver_error::SolverError;
use super::step::Step;
use crate::acme::resource::{
    AuthorizationStatus, ChallengeType, Excerpt, Identifier, OrderStatus, Problem, ProblemKind,
};

/// The longest Retry-After that is waited for while an order is under way.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why the CA gave no certificate, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system gave no randomness or no memory for a key or a signature.
    #[error("the account key could not be used: the system's cryptography failed")]
    Crypto,
    /// The text is not a PKCS#8 PEM.
    #[error("the account key is not a PKCS#8 PEM file")]
    KeyPem(#[source] rustls::pki_types::pem::Error),
    /// The PEM holds no P-256 key.
    #[error("the account key is not an ECDSA P-256 key")]
    Key(#[source] aws_lc_rs::error::KeyRejected),
    /// The text holds no PKCS#8 key.
    #[error("the certificate's key is not in PKCS#8 PEM")]
    CertificateKeyPem(#[source] rustls::pki_types::pem::Error),
    /// The key is of a kind that signs no revocation.
    #[error("the certificate's key is none of P-256, P-384 and RSA")]
    CertificateKey(#[source] aws_lc_rs::error::KeyRejected),
    /// The CA's directory lacks an optional service.
    #[error("the CA does not offer this (its directory has no {service})")]
    NoService {
        /// Its name in the directory.
        service: &'static str,
    },
    /// The extra root is not PEM.
    #[error("the root for the CA's own HTTPS is not a PEM certificate")]
    Root(#[source] reqwest::Error),
    /// Mostly: the system has no root certificates.
    #[error(
        "the HTTPS client for the CA could not be set up; install the system's root certificates (package ca-certificates)"
    )]
    Setup(#[source] reqwest::Error),
    /// RFC 8555 section 6.1 wants HTTPS.
    #[error("could not {step}: {url} is not https")]
    NotHttps {
        /// What was being done.
        step: Step,
        /// The address.
        url: Url,
    },
    /// The CA could not be reached; the request was not sent.
    #[error("could not {step}: no connection to the CA at {}", authority(.url))]
    Connect {
        /// What was being done.
        step: Step,
        /// The address.
        url: Url,
        /// Why.
        source: reqwest::Error,
    },
    /// The connection broke; the CA may or may not have worked on the request.
    #[error("could not {step}: the connection to the CA at {} broke", authority(.url))]
    Lost {
        /// What was being done.
        step: Step,
        /// The address.
        url: Url,
        /// Why.
        source: reqwest::Error,
    },
    /// No whole answer came in time; the CA may or may not have worked on the request.
    #[error("could not {step}: the CA at {} did not answer within {}", authority(.url), humantime::format_duration(*.limit))]
    Timeout {
        /// What was being done.
        step: Step,
        /// The address.
        url: Url,
        /// The time it had.
        limit: Duration,
    },
    /// An answer that is too long to be one.
    #[error("could not {step}: the CA's answer is longer than {limit} bytes")]
    TooLong {
        /// What was being done.
        step: Step,
        /// The cap.
        limit: usize,
    },
    /// The CA refused, and said why.
    #[error("could not {step}: {problem}{}", allowed_again(.retry_after))]
    Refused {
        /// What was being done.
        step: Step,
        /// The answer's status.
        status: StatusCode,
        /// What the CA said.
        problem: Box<Problem>,
        /// When the CA wants the next try.
        retry_after: Option<Duration>,
    },
    /// The CA refused the operator's credentials (RFC 8555 section 7.3.4).
    #[error("{refusal}; {fix}")]
    Binding {
        /// What it said.
        refusal: Box<Self>,
        /// Which of them to correct.
        fix: String,
    },
    /// The CA, or something before it, refused without a problem document.
    #[error("could not {step}: the CA answered {status}{}{}", excerpt.quoted(), allowed_again(.retry_after))]
    Status {
        /// What was being done.
        step: Step,
        /// The answer's status.
        status: StatusCode,
        /// The start of the body.
        excerpt: Excerpt,
        /// When the CA wants the next try.
        retry_after: Option<Duration>,
    },
    /// The CA refuses one nonce after the other.
    #[error("could not {step}: the CA refused {count} fresh nonces in a row")]
    Nonces {
        /// What was being done.
        step: Step,
        /// How many.
        count: usize,
    },
    /// The answer is not what RFC 8555 says it is.
    #[error("could not {step}: the CA's answer is not the JSON that RFC 8555 asks for")]
    Json {
        /// What was being done.
        step: Step,
        /// Where it differs.
        source: serde_json::Error,
    },
    /// A header that RFC 8555 asks for is missing or not readable.
    #[error("could not {step}: the CA's answer has no usable {header} header")]
    Header {
        /// What was being done.
        step: Step,
        /// Its name.
        header: &'static str,
    },
    /// The CA does not offer a kind of challenge that the solvers can meet.
    #[error("the CA does not offer {} for {identifier} (only {})", listed(.wanted, " or "), listed(.offered, ", "))]
    NoChallenge {
        /// Whose challenge.
        identifier: Identifier,
        /// What the solvers can meet.
        wanted: Vec<ChallengeType>,
        /// What the CA offers.
        offered: Vec<ChallengeType>,
    },
    /// A challenge without a token, or with one that is not base64url (RFC 8555 section 8.3).
    #[error("the CA's {challenge} challenge for {identifier} has no usable token")]
    Token {
        /// Whose challenge.
        identifier: Identifier,
        /// Its kind.
        challenge: ChallengeType,
    },
    /// The challenge could not be put up for the CA to see.
    #[error("the challenge for {identifier} could not be put up")]
    Solver {
        /// Whose challenge.
        identifier: Identifier,
        /// Why.
        source: SolverError,
    },
    /// The CA looked and did not find what it should.
    #[error("{}", failed_authorization(.identifier, .challenge, .problem.as_deref()))]
    Authorization {
        /// Whose authorization.
        identifier: Identifier,
        /// How it was to be proved.
        challenge: ChallengeType,
        /// What the CA found.
        problem: Option<Box<Problem>>,
        /// The other types that the CA offered for it.
        alternatives: Vec<ChallengeType>,
    },
    /// The authorization cannot be used, and nothing was tried.
    #[error("the CA's authorization for {identifier} is {status}")]
    AuthorizationStatus {
        /// Whose authorization.
        identifier: Identifier,
        /// How it stands.
        status: AuthorizationStatus,
    },
    /// The CA did not make up its mind.
    #[error("the CA did not validate {identifier} within {}", humantime::format_duration(*.limit))]
    AuthorizationTimeout {
        /// Whose authorization.
        identifier: Identifier,
        /// The time it had.
        limit: Duration,
    },
    /// The order failed.
    #[error("the order is {status}{}", because(.problem.as_deref()))]
    OrderStatus {
        /// How it stands.
        status: OrderStatus,
        /// What the CA says of it.
        problem: Option<Box<Problem>>,
    },
    /// The CA did not make the certificate.
    #[error("the CA did not issue the certificate within {}", humantime::format_duration(*.limit))]
    OrderTimeout {
        /// The time it had.
        limit: Duration,
    },
    /// The order is valid and yet has no certificate.
    #[error("the CA's order has no certificate to download")]
    NoCertificate,
    /// The download is not a PEM chain.
    #[error("the CA's certificate is not a PEM chain")]
    Chain(#[source] Option<rustls::pki_types::pem::Error>),
}

impl Error {
    /// Whether the same request cannot succeed before an operator has acted.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::KeyPem(_) | Self::Key(_) | Self::Root(_) => true,
            Self::Setup(_) | Self::NotHttps { .. } | Self::NoChallenge { .. } => true,
            Self::NoService { .. } | Self::CertificateKey(_) | Self::CertificateKeyPem(_) => true,
            Self::Binding { .. } => true,
            _ => self
                .problem()
                .is_some_and(|problem| problem.kind.is_permanent()),
        }
    }

    /// When the CA wants the next try at the earliest.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What the CA said, where it said something.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            Self::Binding { refusal, .. } => refusal.problem(),
            Self::Authorization { problem, .. } | Self::OrderStatus { problem, .. } => {
                problem.as_deref()
            }
            _ => None,
        }
    }

    /// The status of the CA's answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } | Self::Status { status, .. } => Some(*status),
            Self::Binding { refusal, .. } => refusal.status(),
            _ => None,
        }
    }

    /// One plain sentence with the cause at the bottom of the chain and, where there is one, the fix.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Some(root) = words_of_root(self) else {
            return self.to_string();
        };
        if is_unknown_issuer(self) {
            return format!(
                "{self}: its certificate is signed by no known root; if the CA is private, give its root certificate with `root` of the issuer or --acme-root"
            );
        }
        format!("{self}: {root}")
    }

    /// Whether the CA asks to be left alone for longer than anybody waits for its answer: that is for the next attempt.
    pub(in crate::acme) fn names_its_time(&self) -> bool {
        self.retry_after().is_some_and(|wait| wait > LONGEST_WAIT)
    }

    /// Whether the CA may be well again in a moment: nothing was decided.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Lost { .. } | Self::Timeout { .. } => true,
            _ => self.status().is_some_and(|status| {
                status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
            }),
        }
    }

    /// Whether the CA may have worked on the request, or may yet do so. A request that fell for want of a nonce was not sent.
    pub(in crate::acme) fn is_ambiguous(&self) -> bool {
        match self {
            Self::Lost { step, .. } | Self::Timeout { step, .. } => {
                !matches!(step, Step::Directory | Step::NewNonce)
            }
            _ => self.status().is_some_and(|status| status.is_server_error()),
        }
    }

    /// Whether the CA's problem is of this kind.
    pub(in crate::acme) fn is(&self, kind: &ProblemKind) -> bool {
        self.problem().is_some_and(|problem| problem.kind == *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, detail: &str) -> Box<Problem> {
        let json = format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"{detail}"}}"#);
        Problem::parse(json.as_bytes()).unwrap()
    }

    fn authorization(kind: &str) -> Error {
        Error::Authorization {
            identifier: Identifier::Dns("www.example.org".to_owned()),
            challenge: ChallengeType::Http01,
            problem: Some(problem(kind, "timed out.")),
            alternatives: vec![ChallengeType::TlsAlpn01],
        }
    }

    #[test]
    fn a_failed_validation_says_what_to_open_or_point() {
        assert_eq!(
            authorization("connection").to_string(),
            "the CA could not reach http://www.example.org/.well-known/acme-challenge/ on port 80: timed out; \
             open port 80 to the internet and point www.example.org's DNS at this machine"
        );
        for (kind, words) in [
            ("dns", "give www.example.org an A or AAAA record"),
            ("unauthorized", "did not get this machine's answer"),
            ("caa", "does not allow this CA"),
            ("tls", "nothing before it that ends TLS"),
            ("serverInternal", "the CA failed: timed out"),
        ] {
            let sentence = authorization(kind).sentence();
            assert!(sentence.contains(words), "{sentence}");
        }
    }

    #[test]
    fn permanent_is_what_waiting_does_not_mend() {
        for (kind, permanent) in [
            ("caa", true),
            ("rejectedIdentifier", true),
            ("connection", false),
            ("unauthorized", false),
            ("rateLimited", false),
        ] {
            assert_eq!(authorization(kind).is_permanent(), permanent, "{kind}");
        }
    }

    #[test]
    fn a_rate_limit_says_until_when() {
        let error = Error::Refused {
            step: Step::NewOrder,
            status: StatusCode::TOO_MANY_REQUESTS,
            problem: problem("rateLimited", "too many certificates"),
            retry_after: Some(Duration::from_secs(3720)),
        };
        assert_eq!(
            error.to_string(),
            "could not place the order: the CA's rate limit is reached: too many certificates; \
             it allows the next try in 1h 2m"
        );
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3720)));
    }

    #[test]
    fn an_answer_without_a_problem_shows_its_status_and_start() {
        let error = Error::Status {
            step: Step::Order,
            status: StatusCode::BAD_GATEWAY,
            excerpt: Excerpt::of(b"<h1>\x1b[31mBad gateway\xff</h1>"),
            retry_after: None,
        };
        assert_eq!(
            error.to_string(),
            "could not read the order: the CA answered 502 Bad Gateway: <h1>\\u{1b}[31mBad gateway\u{fffd}</h1>"
        );
        assert!(Excerpt::of(&[b'a'; 1000]).as_str().len() == 200);
    }
}
