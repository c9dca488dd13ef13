//! Sentences about TXT records that could not be published.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use super::samples::texts;
use crate::acme::{self, Identifier, SolverError};
use crate::certs::challenge::{CloudflareFault, Dns01Error, HookFault, ServerAddress, UpdateFault};
use crate::certs::dns::ResolverError;
use crate::certs::issuer::Error;

fn unpublished(fault: impl Into<Dns01Error>) -> Error {
    Error::Acme(acme::Error::Solver {
        identifier: Identifier::Dns("example.org".to_owned()),
        source: SolverError::new(fault.into()),
    })
}

pub(super) fn hook_and_propagation() -> Vec<String> {
    let hook = |fault| Dns01Error::Hook {
        program: "/etc/proxy/dns-hook".into(),
        fault,
    };
    let missing = io::Error::from_raw_os_error(2);
    texts(
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
        .map(unpublished),
    )
}

pub(super) fn updates_and_cloudflare() -> Vec<String> {
    let update = |fault| Dns01Error::Update {
        server: ServerAddress {
            host: "ns1.example.org".to_owned(),
            port: 53,
        },
        fault,
    };
    let record = || "_acme-challenge.example.org".to_owned();
    texts(
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
        .map(unpublished),
    )
}
