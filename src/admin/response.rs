//! Responses of the admin socket, in JSON. Times are RFC 3339 in UTC.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::certs::issuer::RecordToSet;
use crate::certs::{Attempts, Certificate, Description, StoredCertificate, renew_at};

/// A page of names in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page {
    /// One line per name.
    pub certificates: Vec<Line>,
    /// The value of `after` for the next page, if there is one.
    pub next: Option<String>,
}

/// A summary of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The name.
    pub name: String,
    /// The name or wildcard that the certificate is for.
    pub subject: String,
    /// The issuer of its stored certificate.
    pub issuer: Option<String>,
    /// End of the validity of that certificate.
    pub not_after: Option<String>,
    /// Time of its renewal.
    pub renew_at: Option<String>,
    /// The state of the name in one word.
    pub state: String,
    /// The state of the name in one sentence.
    pub standing: String,
}

/// Everything known about one name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The name.
    pub name: String,
    /// Its state in one word.
    pub state: String,
    /// Its state in one sentence.
    pub standing: String,
    /// Its stored certificate.
    pub certificate: Option<CertificateFacts>,
    /// Failed attempts since the last success.
    pub attempts: Option<AttemptsFacts>,
    /// The TXT records that the operator has to set once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records_to_set: Vec<RecordFacts>,
}

/// A stored certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// The names in it.
    pub names: Vec<String>,
    /// The configured name of the issuer, or its identifier in storage if it is not configured.
    pub issuer: String,
    /// The subject of the CA certificate that signed it.
    pub signed_by: String,
    /// Its serial number in hexadecimal.
    pub serial: String,
    /// Start of its validity.
    pub not_before: String,
    /// End of its validity.
    pub not_after: String,
    /// Time of its renewal.
    pub renew_at: String,
    /// The kind of its key.
    pub key_type: String,
    /// The subjects of its chain, leaf first.
    pub chain: Vec<String>,
    /// The SHA-256 fingerprint of the leaf.
    pub fingerprint: String,
    /// The place of chain and key.
    pub location: String,
}

/// Failed attempts to get a certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptsFacts {
    /// Number of failures in a row.
    pub failures: u32,
    /// Time of the last failure.
    pub failed_at: Option<String>,
    /// Error of the last failure.
    pub last_error: String,
    /// Time of the next attempt.
    pub next_try: String,
}

/// A TXT record that the operator has to set once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordFacts {
    /// The issuer whose account it is for.
    pub issuer: String,
    /// The DNS name of the record.
    pub name: String,
    /// The text of the record. Known once the CA has told its issuer domain name.
    pub value: Option<String>,
}

/// The result of a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// The result in one sentence.
    pub done: String,
}

/// Changes that a reload made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The Proxyfile.
    pub file: String,
    /// Number of sites that the proxy has now.
    pub sites: usize,
    /// Names of new sites.
    pub added: Vec<String>,
    /// Names of sites that are gone.
    pub removed: Vec<String>,
    /// Sites that have changed, with the keys, and other settings that have changed, with their values.
    pub changed: Vec<String>,
}

/// The end of a running proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Connections that were cut at the end of the drain.
    pub cut: usize,
}

/// The process that has replaced a running proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The number of the new process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The number of the former process, which drains.
    pub former_pid: u32,
}

/// The body of a request to upgrade.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpgradeRequest {
    /// The binary to start, if it is another one.
    pub(super) binary: Option<PathBuf>,
}

/// The body of a request to revoke a certificate.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeRequest {
    pub(super) reason: String,
}

/// The body of an error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) error: String,
}

impl CertificateFacts {
    pub(super) fn new(kept: &StoredCertificate, certificate: &Certificate) -> Self {
        let description = Description::of(certificate);
        let names = certificate.names().iter().map(ToString::to_string);
        Self {
            names: names.collect(),
            issuer: kept.issuer.clone(),
            signed_by: description.signed_by,
            serial: certificate.serial().to_owned(),
            not_before: time(certificate.not_before()),
            not_after: time(certificate.not_after()),
            renew_at: time(renew_at(certificate)),
            key_type: description.key_type,
            chain: description.chain,
            fingerprint: description.fingerprint,
            location: kept.location.clone(),
        }
    }
}

impl From<RecordToSet> for RecordFacts {
    fn from(record: RecordToSet) -> Self {
        Self {
            issuer: record.issuer,
            name: record.name,
            value: record.value,
        }
    }
}

impl AttemptsFacts {
    pub(super) fn new(attempts: &Attempts) -> Self {
        let failed_at = UNIX_EPOCH.checked_add(Duration::from_secs(attempts.failed_at));
        Self {
            failures: attempts.counted_failures(),
            failed_at: failed_at.filter(|at| *at > UNIX_EPOCH).map(time),
            last_error: attempts.last_error.clone(),
            next_try: time(attempts.not_before()),
        }
    }
}

/// Formats a time in RFC 3339, to the second.
pub(super) fn time(at: SystemTime) -> String {
    /// The end of the year 9999, the last moment that RFC 3339 can express.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().min(LAST);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_can_be_formatted() {
        let far = UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(time(far), "9999-12-31T23:59:59Z");
        assert_eq!(
            time(UNIX_EPOCH - Duration::from_secs(1)),
            "1970-01-01T00:00:00Z"
        );
    }
}
