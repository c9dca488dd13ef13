//! Errors of the protocol, with all that the CA said and the operator can do.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use url::Url;

use super::root_cause::{invalid_time, root_cause_text, unknown_certificate};
use super::sentence::{
    allowed_again, authority, because, failed_authorization, listed, unknown_certificate_fix,
};
use super::solver_error::SolverError;
use super::step::Step;
use crate::acme::resource::{
    AuthorizationStatus, ChallengeType, Excerpt, Identifier, OrderStatus, Problem, ProblemKind,
};
use crate::printable::quoted;
use crate::trust::NoRoots;

/// Longest Retry-After that a running order waits for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The error of a library.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Reasons why the CA gave no certificate, or no response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system has no randomness or no memory for a key or a signature.
    #[error("the account key could not be used: the system's cryptography failed")]
    Crypto,
    /// The text is not a PKCS#8 PEM.
    #[error("the account key is not a PKCS#8 PEM file")]
    KeyPem(#[source] rustls::pki_types::pem::Error),
    /// The PEM contains no P-256 key.
    #[error("the account key is not an ECDSA P-256 key")]
    Key(#[source] aws_lc_rs::error::KeyRejected),
    /// The text contains no key that can be read.
    #[error("the certificate's key is not in PEM")]
    CertificateKeyPem(#[source] crate::pem::Error),
    /// Keys of this kind cannot sign a revocation.
    #[error("the certificate's key is not P-256, P-384 or RSA")]
    CertificateKey(#[source] aws_lc_rs::error::KeyRejected),
    /// The CA's directory lacks an optional service.
    #[error("the CA does not offer this (its directory has no {service})")]
    NoService {
        /// Its name in the directory.
        service: &'static str,
    },
    /// The extra root is not PEM.
    #[error("the root for the CA's own HTTPS is not a PEM certificate")]
    Root(#[source] Cause),
    /// The certificate of the CA's own HTTPS cannot be verified.
    #[error("no CA can be asked: {0}")]
    NoRoots(NoRoots),
    /// The HTTPS client cannot be set up.
    #[error("the HTTPS client for the CA could not be set up")]
    Setup(#[source] Cause),
    /// The URL is not https, which RFC 8555 section 6.1 requires.
    #[error("could not {step}: {} is not https", quoted(.url.as_str()))]
    NotHttps {
        /// The step that failed.
        step: Step,
        /// The URL.
        url: Url,
    },
    /// The CA gave a URL that is too long. No request was sent to it.
    #[error("could not {step}: the CA gave a URL longer than {limit} bytes")]
    LongUrl {
        /// The step that failed.
        step: Step,
        /// The limit in bytes.
        limit: usize,
    },
    /// The CA could not be reached. The request was not sent.
    #[error("could not {step}: no connection to the CA at {}", authority(.url))]
    Connect {
        /// The step that failed.
        step: Step,
        /// The URL.
        url: Url,
        /// The cause.
        source: reqwest::Error,
    },
    /// The connection broke. The CA may or may not have processed the request.
    #[error("could not {step}: the connection to the CA at {} broke", authority(.url))]
    Lost {
        /// The step that failed.
        step: Step,
        /// The URL.
        url: Url,
        /// The cause.
        source: reqwest::Error,
    },
    /// No complete response came in time. The CA may or may not have processed the request.
    #[error("could not {step}: the CA at {} did not answer within {}", authority(.url), humantime::format_duration(*.limit))]
    Timeout {
        /// The step that failed.
        step: Step,
        /// The URL.
        url: Url,
        /// The time-out.
        limit: Duration,
    },
    /// The response is too long.
    #[error("could not {step}: the CA's answer is longer than {limit} bytes")]
    TooLong {
        /// The step that failed.
        step: Step,
        /// The limit in bytes.
        limit: usize,
    },
    /// The CA refused the request with a problem document.
    #[error("could not {step}: {problem}{}", allowed_again(.retry_after))]
    Refused {
        /// The step that failed.
        step: Step,
        /// The status of the response.
        status: StatusCode,
        /// The CA's problem document.
        problem: Box<Problem>,
        /// Time until the CA allows the next attempt.
        retry_after: Option<Duration>,
    },
    /// The CA refused the operator's binding credentials (RFC 8555 section 7.3.4).
    #[error("{refusal}; {fix}")]
    Binding {
        /// The CA's refusal.
        refusal: Box<Self>,
        /// Correction that the operator must make.
        fix: String,
    },
    /// The CA, or a proxy in front of it, refused the request without a problem document.
    #[error("could not {step}: the CA answered {status}{}{}", excerpt.quoted(), allowed_again(.retry_after))]
    Status {
        /// The step that failed.
        step: Step,
        /// The status of the response.
        status: StatusCode,
        /// The start of the body.
        excerpt: Excerpt,
        /// Time until the CA allows the next attempt.
        retry_after: Option<Duration>,
    },
    /// The CA has refused several nonces in a row.
    #[error("could not {step}: the CA refused {count} fresh nonces in a row")]
    Nonces {
        /// The step that failed.
        step: Step,
        /// Number of refused nonces.
        count: u32,
    },
    /// The response is not the JSON that RFC 8555 requires.
    #[error("could not {step}: the CA's answer is not the JSON that RFC 8555 asks for")]
    Json {
        /// The step that failed.
        step: Step,
        /// The error of the parser.
        source: serde_json::Error,
    },
    /// A header that RFC 8555 requires is missing or not readable.
    #[error("could not {step}: the CA's answer has no usable {header} header")]
    Header {
        /// The step that failed.
        step: Step,
        /// The name of the header.
        header: &'static str,
    },
    /// The CA offers no challenge that a solver can solve.
    #[error("the CA does not offer {} for {identifier} (only {})", listed(.wanted, " or "), listed(.offered, ", "))]
    NoChallenge {
        /// The identifier of the challenge.
        identifier: Identifier,
        /// The types that the solvers can solve.
        wanted: Vec<ChallengeType>,
        /// The types that the CA offers.
        offered: Vec<ChallengeType>,
    },
    /// A challenge without a token, or with one that is not base64url (RFC 8555 section 8.3).
    #[error("the CA's {challenge} challenge for {identifier} has no usable token")]
    Token {
        /// The identifier of the challenge.
        identifier: Identifier,
        /// The type of the challenge.
        challenge: ChallengeType,
    },
    /// The solver could not present the challenge.
    #[error("the challenge for {identifier} could not be presented")]
    Solver {
        /// The identifier of the challenge.
        identifier: Identifier,
        /// The cause.
        source: SolverError,
    },
    /// The solver cannot present challenges now. No order was placed.
    #[error("the challenge for {identifier} cannot be presented")]
    Preparation {
        /// The identifier of the order.
        identifier: Identifier,
        /// The cause.
        source: SolverError,
    },
    /// The CA looked for the response to the challenge and did not find it.
    #[error("{}", failed_authorization(.identifier, .challenge, .problem.as_deref()))]
    Authorization {
        /// The identifier of the authorization.
        identifier: Identifier,
        /// The type of the challenge.
        challenge: ChallengeType,
        /// The CA's problem document.
        problem: Option<Box<Problem>>,
        /// The other types of challenge that the CA offered.
        alternatives: Vec<ChallengeType>,
    },
    /// The authorization cannot be used. No challenge was tried.
    #[error("the CA's authorization for {identifier} is {status}")]
    AuthorizationStatus {
        /// The identifier of the authorization.
        identifier: Identifier,
        /// Its status.
        status: AuthorizationStatus,
    },
    /// The CA did not validate the challenge in time.
    #[error("the CA did not validate {identifier} within {}", humantime::format_duration(*.limit))]
    AuthorizationTimeout {
        /// The identifier of the authorization.
        identifier: Identifier,
        /// The time-out.
        limit: Duration,
    },
    /// The order failed.
    #[error("the order is {status}{}", because(.problem.as_deref()))]
    OrderStatus {
        /// Its status.
        status: OrderStatus,
        /// The CA's problem document.
        problem: Option<Box<Problem>>,
    },
    /// The CA did not issue the certificate in time.
    #[error("the CA did not issue the certificate within {}", humantime::format_duration(*.limit))]
    OrderTimeout {
        /// The time-out.
        limit: Duration,
    },
    /// The order is valid but has no certificate.
    #[error("the CA's order has no certificate to download")]
    NoCertificate,
    /// The download is not a PEM chain.
    #[error("the CA's certificate is not a PEM chain")]
    Chain(#[source] crate::pem::Error),
}

impl Error {
    /// `true` if the same request cannot succeed until the operator has changed something.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::KeyPem(_) | Self::Key(_) | Self::Root(_) => true,
            Self::NoRoots(_)
            | Self::Setup(_)
            | Self::NotHttps { .. }
            | Self::NoChallenge { .. } => true,
            Self::NoService { .. } | Self::CertificateKey(_) | Self::CertificateKeyPem(_) => true,
            Self::Binding { .. } => true,
            _ => self
                .problem()
                .is_some_and(|problem| problem.kind.is_permanent()),
        }
    }

    /// Returns the time until the CA allows the next attempt.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns the CA's problem document, if there is one.
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

    /// Returns the status of the CA's response, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } | Self::Status { status, .. } => Some(*status),
            Self::Binding { refusal, .. } => refusal.status(),
            _ => None,
        }
    }

    /// Returns one plain sentence with the root cause and, if there is one, the fix.
    #[must_use]
    pub fn sentence(&self) -> String {
        if let Self::Chain(cause) = self
            && cause.is_of_other_format()
        {
            // The commands that convert a file are for its owner.
            return format!("{self}, but in another format; only the CA can change that");
        }
        let is_foreign = matches!(
            self,
            Self::Connect { .. } | Self::Lost { .. } | Self::Json { .. }
        );
        let Some(root) = root_cause_text(self, is_foreign) else {
            return self.to_string();
        };
        if let Some(unknown) = unknown_certificate(self) {
            return format!("{self}: {}", unknown_certificate_fix(unknown));
        }
        if let Some(problem) = invalid_time(self) {
            let now = humantime::format_rfc3339_seconds(SystemTime::now());
            return format!(
                "{self}: its certificate {problem} at {now}; check that this is the right time, else set this machine's clock"
            );
        }
        format!("{self}: {root}")
    }

    /// `true` if Retry-After is longer than an order waits. The next attempt then has to wait for it.
    pub(in crate::acme) fn has_long_retry_after(&self) -> bool {
        self.retry_after().is_some_and(|wait| wait > LONGEST_WAIT)
    }

    /// `true` if the CA says that a limit is reached but not for how long. It has not processed the request.
    pub(in crate::acme) fn is_limited_without_time(&self) -> bool {
        let is_limited = match self {
            Self::Refused {
                status, problem, ..
            } => {
                *status == StatusCode::TOO_MANY_REQUESTS || problem.kind == ProblemKind::RateLimited
            }
            Self::Status { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS,
            _ => false,
        };
        is_limited && self.retry_after().is_none()
    }

    /// `true` if the same request may succeed in a moment.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Lost { .. } | Self::Timeout { .. } => true,
            _ => self.status().is_some_and(|status| {
                status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
            }),
        }
    }

    /// `true` if the CA may have processed the request, or may still do so. A request without a nonce was never sent.
    pub(in crate::acme) fn is_ambiguous(&self) -> bool {
        match self {
            Self::Lost { step, .. } | Self::Timeout { step, .. } => {
                !matches!(step, Step::Directory | Step::NewNonce)
            }
            _ => self.status().is_some_and(|status| status.is_server_error()),
        }
    }

    /// `true` if the CA's problem is of this kind.
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
    fn a_failed_validation_is_reported_with_its_fix() {
        assert_eq!(
            authorization("connection").to_string(),
            "the CA could not reach http://www.example.org/.well-known/acme-challenge/ on port 80: timed out; \
             open port 80 to the internet and point www.example.org's DNS at this machine"
        );
        for (kind, words) in [
            ("dns", "give it an A or AAAA record"),
            ("unauthorized", "did not get this machine's answer"),
            ("caa", "does not allow this CA"),
            ("tls", "nothing in front of it that terminates TLS"),
            ("serverInternal", "the CA failed: timed out"),
        ] {
            let sentence = authorization(kind).sentence();
            assert!(sentence.contains(words), "{sentence}");
        }
    }

    #[test]
    fn an_error_is_permanent_if_waiting_does_not_help() {
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
    fn a_rate_limit_is_reported_with_its_end() {
        let error = Error::Refused {
            step: Step::NewOrder,
            status: StatusCode::TOO_MANY_REQUESTS,
            problem: problem("rateLimited", "too many certificates"),
            retry_after: Some(Duration::from_secs(3720)),
        };
        assert_eq!(
            error.to_string(),
            "could not place the order: the CA's rate limit is reached: too many certificates; \
             it allows the next attempt in 1h 2m"
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
        assert!(Excerpt::of(&[b'a'; 1000]).as_str().len() < 200);
    }
}
