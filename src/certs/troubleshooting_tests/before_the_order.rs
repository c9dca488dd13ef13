//! Sentences about the standing of a name and about failures before a CA is asked.

use std::sync::Arc;
use std::time::Duration;

use super::orders::{no_such_name, rate_limited};
use super::samples::{CA, NAME, at, name, no_connection, texts};
use crate::acme::ChallengeType;
use crate::certs::budget::{HoldReason, Limit, Limits};
use crate::certs::dns::ResolverError;
use crate::certs::issuance::{Error, with_doubt};
use crate::certs::on_demand::{AskError, Network};
use crate::certs::preflight::{CaaReason, Reachability, Reason, Record, TlsReason};
use crate::certs::public_suffix::Unsignable;
use crate::certs::status::{CertificateRefusal, RefusalKind, Standing, Trigger};
use crate::certs::store::TriedIssuer;

pub(super) fn standings() -> Vec<String> {
    let served = |last_error, next_try| Standing::Served {
        issuer: CA.to_owned(),
        not_after: at("2027-02-22T09:00:00Z"),
        renew_at: at("2027-01-23T09:00:00Z"),
        last_error,
        next_try,
        unreadable: None,
    };
    let reason = "the CA could not connect to this machine".to_owned();
    texts([
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
            tried: vec![TriedIssuer {
                issuer: CA.to_owned(),
                challenges: vec!["http-01".to_owned(), "tls-alpn-01".to_owned()],
            }],
        },
        Standing::Waiting {
            trigger: Trigger::Start,
        },
        Standing::Waiting {
            trigger: Trigger::Handshake,
        },
        Standing::Waiting {
            trigger: Trigger::LocalHandshake,
        },
        Standing::refused(RefusalKind::UnknownName, CertificateRefusal::Unknown),
        Standing::Held {
            until: at("2026-11-24T10:00:00Z"),
            reason: orders_spent().to_string(),
            last_error: None,
        },
    ])
}

pub(super) fn refused_before_the_order() -> Vec<String> {
    let (record, address) = (Record::A, "203.0.113.7".parse().unwrap());
    texts(
        [
            Reason::NotPublic {
                record,
                address,
                reach: Reachability::Documentation,
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

pub(super) fn doubted_before_the_order() -> Vec<String> {
    let (record, address) = (Record::A, "203.0.113.7".parse().unwrap());
    let error = ResolverError::Timeout(NAME.to_owned()).to_string();
    let mut sentences = texts([
        Reason::NoSuchName(name(NAME)),
        Reason::NoAddress(name(NAME)),
        Reason::NotPublic {
            record,
            address: "192.168.1.5".parse().unwrap(),
            reach: Reachability::Private,
        },
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
    ]);
    let doubt = Reason::NoSuchName(name(NAME));
    let failure = Error::Issuer(no_such_name());
    sentences.push(with_doubt(&failure, Some(&doubt)));
    sentences
}

pub(super) fn port_443() -> Vec<String> {
    let (record, address) = (Record::A, "203.0.113.7".parse().unwrap());
    texts([
        TlsReason::Unreachable { record, address },
        TlsReason::Closed { address },
        TlsReason::Silent { record, address },
        TlsReason::OtherProgram { address },
        TlsReason::Elsewhere { record, address },
        TlsReason::MaybeElsewhere { record, address },
    ])
}

pub(super) fn names_that_no_public_ca_signs() -> Vec<String> {
    texts([
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

pub(super) async fn names_on_demand() -> Vec<String> {
    let url: url::Url = "http://localhost:4000/allowed".parse().unwrap();
    let no = AskError::Refused {
        url: url.clone(),
        status: 404,
    };
    let mut sentences = texts([Standing::refused(RefusalKind::AskSaidNo, &no)]);
    let wait = Duration::from_secs(179);
    sentences.extend(texts(
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
        .map(|error| CertificateRefusal::NotAllowed(Arc::new(error))),
    ));
    sentences.extend(texts([
        CertificateRefusal::StillOrdering,
        CertificateRefusal::TooManyWaiting,
        CertificateRefusal::TooManyNames,
        CertificateRefusal::Stopping,
    ]));
    sentences
}

fn spent(what: &'static str, limit: Option<Limit>, whose: &str) -> HoldReason {
    HoldReason::Spent {
        what,
        limit: limit.unwrap(),
        whose: whose.to_owned(),
        issuer: CA.to_owned(),
        until: at("2026-11-24T10:00:00Z"),
    }
}

fn orders_spent() -> HoldReason {
    spent("orders", Limits::PUBLIC.orders, "this account")
}

pub(super) fn budgets() -> Vec<String> {
    let limits = Limits::PUBLIC;
    texts([
        spent("failed authorizations", limits.failed_authorizations, NAME),
        spent("new certificates", limits.certificates, "example.org"),
        orders_spent(),
        HoldReason::Closed {
            issuer: CA.to_owned(),
            whose: "example.org".to_owned(),
            until: at("2026-11-24T10:00:00Z"),
            reason: rate_limited().to_string(),
        },
    ])
}
