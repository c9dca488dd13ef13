//! Sentences about problems of this machine.

use std::io;

use super::samples::{at, name, texts};
use crate::certs::certificate::CertificateError;
use crate::certs::issuance::{DUE_WHEN_ISSUED, PANIC};
use crate::certs::issuer::{Error, NameConstraint};
use crate::certs::store::Attempts;
use crate::storage;

pub(super) fn this_machine() -> Vec<String> {
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
    let mut sentences = texts([
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
    sentences.extend(texts([DUE_WHEN_ISSUED, PANIC, &unfinished.last_error]));
    sentences.extend(texts([
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
            source: Box::new(CertificateError::Pem(crate::pem::Error::NoCertificate)),
        },
    ]));
    sentences.extend(texts([Error::Root {
        path: "/etc/proxy/ca.pem".to_owned(),
        source: io::Error::from_raw_os_error(2),
    }]));
    sentences
}
