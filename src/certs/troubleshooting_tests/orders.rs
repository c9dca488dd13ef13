//! Sentences about the answers of a CA to an order, or their absence.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::samples::{CA, NAME, name, no_connection, texts};
use crate::acme::{self, ChallengeType, ExternalAccount, Identifier, Problem, Step};
use crate::certs::certificate::CertificateError;
use crate::certs::issuance;
use crate::certs::issuer::Error;

fn directory() -> url::Url {
    "https://acme-v02.api.letsencrypt.org/directory"
        .parse()
        .unwrap()
}

fn problem(kind: &str, detail: &str) -> Box<Problem> {
    let kind = format!("urn:ietf:params:acme:error:{kind}");
    let problem = json!({ "type": kind, "detail": detail });
    Box::new(serde_json::from_value(problem).unwrap())
}

fn refused(step: Step, status: u16, problem: (&str, &str)) -> Error {
    Error::Acme(refusal(step, status, problem))
}

fn refusal(step: Step, status: u16, (kind, detail): (&str, &str)) -> acme::Error {
    acme::Error::Refused {
        step,
        status: StatusCode::from_u16(status).unwrap(),
        problem: problem(kind, detail),
        retry_after: (status == 429 || status == 503).then_some(Duration::from_secs(3600)),
    }
}

pub(super) fn rate_limited() -> Error {
    let detail = "too many certificates already issued for example.org";
    refused(Step::NewOrder, 429, ("rateLimited", detail))
}

fn failed(challenge: ChallengeType, name: &str, (kind, detail): (&str, &str)) -> acme::Error {
    acme::Error::Authorization {
        identifier: Identifier::Dns(name.to_owned()),
        challenge,
        problem: Some(problem(kind, detail)),
        alternatives: Vec::new(),
    }
}

pub(super) fn no_such_name() -> Error {
    let detail = "NXDOMAIN looking up A for www.example.org";
    Error::Acme(failed(ChallengeType::Http01, NAME, ("dns", detail)))
}

pub(super) fn failed_validations() -> Vec<String> {
    use ChallengeType::{Dns01, DnsPersist01, Http01, TlsAlpn01};
    let connection = || {
        let detail = "203.0.113.7: Fetching http://www.example.org/: Connection refused";
        failed(Http01, NAME, ("connection", detail))
    };
    let unauthorized = "203.0.113.7: Invalid response: 404";
    let alpn = "no ALPN protocol was negotiated";
    let mut sentences = texts(
        [
            connection(),
            failed(Http01, NAME, ("unauthorized", unauthorized)),
            failed(
                Http01,
                NAME,
                ("dns", "NXDOMAIN looking up A for www.example.org"),
            ),
            failed(TlsAlpn01, NAME, ("tls", alpn)),
            failed(
                Http01,
                NAME,
                ("caa", "CAA record for example.org prevents issuance"),
            ),
            failed(
                Dns01,
                "example.org",
                ("unauthorized", "no TXT record found"),
            ),
            failed(
                DnsPersist01,
                "example.org",
                ("unauthorized", "no TXT record found"),
            ),
            acme::Error::NoChallenge {
                identifier: Identifier::Dns("*.example.org".to_owned()),
                wanted: vec![Dns01],
                offered: vec![Http01, TlsAlpn01],
            },
            acme::Error::AuthorizationTimeout {
                identifier: Identifier::Dns(NAME.to_owned()),
                limit: Duration::from_secs(120),
            },
        ]
        .map(Error::Acme),
    );
    let both = vec![connection(), failed(TlsAlpn01, NAME, ("tls", alpn))];
    sentences.push(Error::Unproved(both).to_string());
    sentences
}

fn wrong_credentials(detail: &str) -> Error {
    let external = ExternalAccount::new("kid-1".to_owned(), "c2VjcmV0MQ").unwrap();
    let refusal = refused(Step::NewAccount, 401, ("unauthorized", detail));
    match refusal {
        Error::Acme(refusal) => Error::Acme(external.explain(refusal)),
        other => other,
    }
}

pub(super) fn refused_orders() -> Vec<String> {
    let eab = "an account must be bound to an external one";
    texts([
        rate_limited(),
        refused(
            Step::NewOrder,
            503,
            ("serverInternal", "down for maintenance"),
        ),
        refused(Step::NewAccount, 401, ("externalAccountRequired", eab)),
        wrong_credentials("the key id is unknown"),
        wrong_credentials("the signature does not verify"),
        wrong_credentials("the credentials were used already"),
        wrong_credentials("an e-mail address is required"),
        refused(
            Step::NewAccount,
            400,
            ("invalidContact", "example.com is not allowed"),
        ),
        refused(
            Step::NewOrder,
            403,
            ("userActionRequired", "the terms have changed"),
        ),
        refused(
            Step::NewOrder,
            400,
            ("rejectedIdentifier", "the name is on a list"),
        ),
        Error::Profile {
            wanted: "short".to_owned(),
            offered: vec!["classic".to_owned(), "shortlived".to_owned()],
        },
        Error::ProfileRefused {
            wanted: "short".to_owned(),
            others: vec!["classic".to_owned()],
            refusal: Box::new(refusal(
                Step::NewOrder,
                403,
                ("unauthorized", "the account may not use profile short"),
            )),
        },
        Error::NoSolver(name("*.example.org")),
        Error::Certificate(CertificateError::KeyMismatch),
        Error::Certificate(CertificateError::Names {
            wanted: name("www.example.org"),
            names: vec![name("wrong.example.org")],
        }),
    ])
}

pub(super) fn several_failed_issuers() -> Vec<String> {
    let wait = Duration::from_secs(120);
    let failures = vec![
        (CA.to_owned(), issuance::Error::Issuer(rate_limited())),
        ("zerossl".to_owned(), issuance::Error::RetryAfter { wait }),
    ];
    texts([issuance::Error::All(failures)])
}

pub(super) async fn unanswered_requests() -> Vec<String> {
    texts(
        [
            acme::Error::Connect {
                step: Step::Directory,
                url: directory(),
                source: no_connection().await,
            },
            acme::Error::Timeout {
                step: Step::NewOrder,
                url: directory(),
                limit: Duration::from_secs(30),
            },
            acme::Error::OrderTimeout {
                limit: Duration::from_secs(300),
            },
        ]
        .map(Error::Acme),
    )
}
