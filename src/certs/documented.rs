//! The README has every sentence that says why a certificate is missing, word for word.

use std::collections::HashSet;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde_json::json;

use super::budget::{Held, Limit};
use super::challenge::{CloudflareFault, Dns01Error, HookFault, ServerAddress, UpdateFault};
use super::issuer::{Error, NameConstraint};
use super::preflight::{CaaReason, Reach, Reason, Record};
use super::{
    AskError, Attempts, Because, CertificateError, Limits, Network, Occasion, Refusal,
    ResolverError, Standing, Trial, Unsignable, failures,
};
use crate::acme::{self, ChallengeType, Identifier, Problem, SolverError, Step};
use crate::name::HostPattern;
use crate::storage;

const NAME: &str = "www.example.org";
const CA: &str = "acme-v02.api.letsencrypt.org-directory";

/// All that the README quotes, each unwrapped.
pub(crate) fn quotations() -> HashSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let paragraphs = readme.split("\n\n");
    let quoted = paragraphs.filter_map(|paragraph| paragraph.trim().strip_prefix("> "));
    quoted.map(|text| text.replace("\n> ", " ")).collect()
}

fn name(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).unwrap()
}

fn told(sentences: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    let sentences = sentences.into_iter();
    sentences.map(|sentence| sentence.to_string()).collect()
}

/// The error of a client that nobody answers.
async fn no_connection() -> reqwest::Error {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // Port 1 is nobody's.
    client.get("http://127.0.0.1:1/").send().await.unwrap_err()
}

fn directory() -> url::Url {
    "https://acme-v02.api.letsencrypt.org/directory"
        .parse()
        .unwrap()
}

fn standings() -> Vec<String> {
    let served = |last_error, next_try| Standing::Served {
        issuer: CA.to_owned(),
        not_after: at("2027-02-22T09:00:00Z"),
        renew_at: at("2027-01-23T09:00:00Z"),
        last_error,
        next_try,
    };
    let reason = "the CA could not connect to this machine".to_owned();
    told([
        served(None, None),
        served(Some(reason.clone()), Some(at("2027-01-23T09:05:00Z"))),
        Standing::FromFiles {
            cert: Some("/etc/proxy/files.pem".into()),
            not_after: Some(at("2027-02-22T09:00:00Z")),
        },
        Standing::Ordering,
        Standing::BackingOff {
            until: at("2026-11-24T09:05:00Z"),
            failures: 3,
            reason,
            tried: vec![Trial {
                issuer: CA.to_owned(),
                challenges: vec!["http-01".to_owned(), "tls-alpn-01".to_owned()],
            }],
        },
        Standing::Waiting {
            occasion: Occasion::Start,
        },
        Standing::Waiting {
            occasion: Occasion::Handshake,
        },
        Standing::Waiting {
            occasion: Occasion::LocalHandshake,
        },
        Standing::refused(Because::UnknownName, Refusal::Unknown),
        Standing::Held {
            until: at("2026-11-24T10:00:00Z"),
            reason: orders_spent().to_string(),
            last_error: None,
        },
    ])
}

fn refused_before_the_order() -> Vec<String> {
    let (record, address) = (Record::A, "203.0.113.7".parse().unwrap());
    told(
        [
            Reason::NoSuchName(name(NAME)),
            Reason::NoAddress(name(NAME)),
            Reason::NotPublic {
                record,
                address: "192.168.1.5".parse().unwrap(),
                reach: Reach::Private,
            },
            Reason::Elsewhere {
                record: Record::Aaaa,
                address: "2001:db8::1".parse().unwrap(),
                status: 404,
            },
            Reason::Elsewhere {
                record,
                address,
                status: 200,
            },
            Reason::Caa(CaaReason::Issuer {
                owner: "example.org".to_owned(),
                property: "issue",
                allowed: vec!["ca.example.net".to_owned()],
                identity: Some("letsencrypt.org".to_owned()),
            }),
            Reason::Caa(CaaReason::Methods {
                owner: "example.org".to_owned(),
                allowed: vec!["dns-01".to_owned()],
                wanted: vec![ChallengeType::Http01, ChallengeType::TlsAlpn01],
            }),
            Reason::Caa(CaaReason::Account {
                owner: "example.org".to_owned(),
                account: "https://acme-v02.api.letsencrypt.org/acme/acct/1".to_owned(),
            }),
            Reason::Caa(CaaReason::Critical {
                owner: "example.org".to_owned(),
                property: "policy".to_owned(),
            }),
        ]
        .map(Error::Preflight),
    )
}

fn doubted_before_the_order() -> Vec<String> {
    let (record, address) = (Record::A, "203.0.113.7".parse().unwrap());
    let error = ResolverError::Timeout(NAME.to_owned()).to_string();
    told([
        Reason::LookupFailed {
            name: name(NAME),
            error: error.clone(),
        },
        Reason::CaaLookupFailed {
            name: NAME.parse().unwrap(),
            error,
        },
        Reason::OtherProgram {
            address,
            status: 404,
        },
        Reason::Unreachable { record, address },
        Reason::Silent { record, address },
        Reason::Redirect {
            record,
            address,
            status: 301,
        },
        Reason::MaybeElsewhere {
            record,
            address,
            status: 200,
        },
        Reason::Slow(name(NAME)),
    ])
}

fn names_that_no_public_ca_signs() -> Vec<String> {
    told([
        Unsignable::NoDot(name("intranet")),
        Unsignable::Reserved {
            name: name("nas.lan"),
            domain: "lan",
        },
        Unsignable::UnknownSuffix {
            name: name("www.example.orgg"),
            domain: "orgg".to_owned(),
        },
        Unsignable::PublicSuffix(name("co.uk")),
        Unsignable::Underscore(name("my_app.example.org")),
        Unsignable::Address(name("10.0.0.5")),
    ])
}

async fn names_on_demand() -> Vec<String> {
    let url: url::Url = "http://localhost:4000/allowed".parse().unwrap();
    let no = AskError::Refused {
        url: url.clone(),
        status: 404,
    };
    let mut sentences = told([Standing::refused(Because::AskSaidNo, &no)]);
    let wait = Duration::from_secs(179);
    sentences.extend(told(
        [
            AskError::Unreachable {
                url: url.clone(),
                source: no_connection().await,
            },
            AskError::Failing { url, status: 500 },
            AskError::TooManyFromNetwork {
                network: Network::of("198.51.100.9".parse().unwrap()),
                limit: 20,
                wait,
            },
            AskError::TooMany { limit: 600, wait },
        ]
        .map(|error| Refusal::NotAllowed(Arc::new(error))),
    ));
    sentences.extend(told([
        Refusal::StillOrdering,
        Refusal::TooManyWaiting,
        Refusal::TooManyNames,
        Refusal::Stopping,
    ]));
    sentences
}

fn spent(what: &'static str, limit: Option<Limit>, whose: &str) -> Held {
    Held::Spent {
        what,
        limit: limit.unwrap(),
        whose: whose.to_owned(),
        issuer: CA.to_owned(),
        until: at("2026-11-24T10:00:00Z"),
    }
}

fn orders_spent() -> Held {
    spent("orders", Limits::PUBLIC.orders, "this account")
}

fn budgets() -> Vec<String> {
    let limits = Limits::PUBLIC;
    told([
        spent("failed authorizations", limits.failed_authorizations, NAME),
        spent("new certificates", limits.certificates, "example.org"),
        orders_spent(),
        Held::Closed {
            issuer: CA.to_owned(),
            whose: "example.org".to_owned(),
            until: at("2026-11-24T10:00:00Z"),
            reason: rate_limited().to_string(),
        },
    ])
}

fn problem(kind: &str, detail: &str) -> Box<Problem> {
    let kind = format!("urn:ietf:params:acme:error:{kind}");
    let problem = json!({ "type": kind, "detail": detail });
    Box::new(serde_json::from_value(problem).unwrap())
}

fn refused(step: Step, status: u16, (kind, detail): (&str, &str)) -> Error {
    Error::Acme(acme::Error::Refused {
        step,
        status: StatusCode::from_u16(status).unwrap(),
        problem: problem(kind, detail),
        retry_after: (status == 429 || status == 503).then_some(Duration::from_secs(3600)),
    })
}

fn rate_limited() -> Error {
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

fn what_the_ca_saw() -> Vec<String> {
    use ChallengeType::{Dns01, DnsPersist01, Http01, TlsAlpn01};
    let connection = || {
        let detail = "203.0.113.7: Fetching http://www.example.org/: Connection refused";
        failed(Http01, NAME, ("connection", detail))
    };
    let unauthorized = "203.0.113.7: Invalid response: 404";
    let alpn = "no ALPN protocol was negotiated";
    let mut sentences = told(
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

async fn what_the_ca_said() -> Vec<String> {
    let eab = "an account must be bound to an external one";
    let mut sentences = told([
        rate_limited(),
        refused(
            Step::NewOrder,
            503,
            ("serverInternal", "down for maintenance"),
        ),
        refused(Step::NewAccount, 401, ("externalAccountRequired", eab)),
        refused(
            Step::NewAccount,
            401,
            ("unauthorized", "the key id is unknown"),
        ),
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
        Error::NoSolver(name("*.example.org")),
        Error::All(vec![
            (CA.to_owned(), rate_limited()),
            (
                "acme.zerossl.com-v2-DV90".to_owned(),
                Error::Resting {
                    wait: Duration::from_secs(120),
                },
            ),
        ]),
        Error::Certificate(CertificateError::NotYetValid(at("2026-11-24T09:00:00Z"))),
    ]);
    sentences.extend(told(
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
                limit: Duration::from_secs(120),
            },
        ]
        .map(Error::Acme),
    ));
    sentences
}

fn unanswered(fault: impl Into<Dns01Error>) -> Error {
    Error::Acme(acme::Error::Solver {
        identifier: Identifier::Dns("example.org".to_owned()),
        source: SolverError::new(fault.into()),
    })
}

fn records_by_hook() -> Vec<String> {
    let hook = |fault| Dns01Error::Hook {
        program: "/etc/proxy/dns-hook".into(),
        fault,
    };
    let missing = io::Error::from_raw_os_error(2);
    told(
        [
            hook(HookFault::Start(missing)),
            hook(HookFault::Slow {
                action: "present",
                limit: Duration::from_secs(60),
            }),
            hook(HookFault::Failed {
                action: "present",
                status: ExitStatus::from_raw(1 << 8),
                stderr: "no such zone".to_owned(),
            }),
            Dns01Error::Missing {
                server: "ns1.example.org (192.0.2.53)".to_owned(),
                name: "_acme-challenge.example.org".to_owned(),
                limit: Duration::from_secs(120),
            },
            Dns01Error::Silent {
                name: "_acme-challenge.example.org".to_owned(),
                server: "ns1.example.org (192.0.2.53)".to_owned(),
                cause: Box::new(ResolverError::Timeout(
                    "_acme-challenge.example.org".to_owned(),
                )),
            },
            Dns01Error::Servers {
                name: "_acme-challenge.example.org".to_owned(),
                cause: Box::new(ResolverError::Timeout("example.org".to_owned())),
            },
        ]
        .map(unanswered),
    )
}

fn records_by_update() -> Vec<String> {
    let update = |fault| Dns01Error::Update {
        server: ServerAddress {
            host: "ns1.example.org".to_owned(),
            port: 53,
        },
        fault,
    };
    let record = || "_acme-challenge.example.org".to_owned();
    told(
        [
            update(UpdateFault::BadSignature("proxy".to_owned())),
            update(UpdateFault::BadKey("proxy".to_owned())),
            update(UpdateFault::BadTime),
            update(UpdateFault::NoZone(record())),
            update(UpdateFault::Refused {
                name: record(),
                code: hickory_proto::op::ResponseCode::Refused,
            }),
            update(UpdateFault::Timeout),
            Dns01Error::Cloudflare(CloudflareFault::Token("Invalid API Token".to_owned())),
            Dns01Error::Cloudflare(CloudflareFault::NoZone(record())),
            Dns01Error::Cloudflare(CloudflareFault::Unreachable(
                "connection refused".to_owned(),
            )),
        ]
        .map(unanswered),
    )
}

fn this_machine() -> Vec<String> {
    let path = || "/var/lib/proxy".into();
    let now = at("2026-11-24T09:00:00Z");
    let unfinished = Attempts::default().begun(now).begun(now);
    let home = || {
        (
            "/var/lib/proxy/internal-ca".to_owned(),
            "/var/lib/proxy/certificates/internal".to_owned(),
        )
    };
    let ((folder, leaves), (same, below)) = (home(), home());
    let mut sentences = told([
        storage::Error::Directory {
            path: path(),
            source: io::Error::from_raw_os_error(13),
        },
        storage::Error::Write {
            path: "/var/lib/proxy/probe/0123456789abcdef".into(),
            source: io::Error::from_raw_os_error(28),
        },
        storage::Error::Lossy {
            location: "/var/lib/proxy/probe/0123456789abcdef".to_owned(),
        },
    ]);
    sentences.extend(told([
        failures::DUE_ON_ARRIVAL,
        failures::PANIC,
        &unfinished.last_error,
    ]));
    sentences.extend(told([
        Error::RootExpired {
            at: now,
            folder,
            leaves,
        },
        Error::NotPermitted {
            subject: name("nas.home.arpa"),
            permitted: vec![NameConstraint::parse("10.0.0.0/8").unwrap()],
            folder: same,
            leaves: below,
        },
        Error::Damaged {
            location: "/var/lib/proxy/internal-ca/root.pem".to_owned(),
            source: Box::new(CertificateError::NoCertificate),
        },
    ]));
    sentences.extend(told([Error::Root {
        path: "/etc/proxy/ca.pem".to_owned(),
        source: io::Error::from_raw_os_error(2),
    }]));
    sentences
}

#[tokio::test]
async fn every_cause_is_in_the_readme_word_for_word() {
    let sentences = [
        standings(),
        refused_before_the_order(),
        doubted_before_the_order(),
        names_that_no_public_ca_signs(),
        names_on_demand().await,
        budgets(),
        what_the_ca_saw(),
        what_the_ca_said().await,
        records_by_hook(),
        records_by_update(),
        this_machine(),
    ]
    .concat();
    let quotations = quotations();
    let is_missing = |sentence: &&String| !quotations.contains(*sentence);
    let missing: Vec<_> = sentences.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "not in the README: {missing:#?}");
}
