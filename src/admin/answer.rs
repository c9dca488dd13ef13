//! What the admin socket answers, as JSON. Times are RFC 3339 in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::certs::issuer::RecordToSet;
use crate::certs::{Attempts, Certificate, Description, Kept, renew_at};

/// Some names in order, and where the next ones begin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page {
    /// One line per name.
    pub certificates: Vec<Line>,
    /// What to ask with as `after` for the next page; none on the last.
    pub next: Option<String>,
}

/// One name in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The name.
    pub name: String,
    /// Whose certificate is stored for it.
    pub issuer: Option<String>,
    /// The end of that certificate's validity.
    pub not_after: Option<String>,
    /// When it is renewed.
    pub renew_at: Option<String>,
    /// The name's state in one word.
    pub state: String,
    /// The name's state in one sentence.
    pub standing: String,
}

/// All that is known of one name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The name.
    pub name: String,
    /// Its state in one word.
    pub state: String,
    /// Its state in one sentence.
    pub standing: String,
    /// The certificate that is stored for it.
    pub certificate: Option<CertificateFacts>,
    /// The attempts that came to nothing since the last success.
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
    /// What the operator calls the issuer; the name that it has in storage where it is not configured.
    pub issuer: String,
    /// The subject of who signed it.
    pub signed_by: String,
    /// Its serial number in hexadecimal.
    pub serial: String,
    /// The start of its validity.
    pub not_before: String,
    /// The end of its validity.
    pub not_after: String,
    /// When it is renewed.
    pub renew_at: String,
    /// The kind of its key.
    pub key_type: String,
    /// The subjects of its chain, leaf first.
    pub chain: Vec<String>,
    /// The SHA-256 fingerprint of the leaf.
    pub fingerprint: String,
    /// Where chain and key lie.
    pub location: String,
}

/// Attempts that came to nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptsFacts {
    /// How many in a row.
    pub failures: u32,
    /// When the last one failed.
    pub failed_at: Option<String>,
    /// What the last one failed with.
    pub last_error: String,
    /// When the next one is due.
    pub next_try: String,
}

/// A TXT record that the operator has to set once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecordFacts {
    /// Whose account it is for.
    pub issuer: String,
    /// Where it is set.
    pub name: String,
    /// Its text, once the CA has told what it calls itself.
    pub value: Option<String>,
}

/// How a running proxy is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// How long it has run.
    pub uptime_seconds: u64,
    /// How many sites it has.
    pub sites: usize,
    /// How many clients are connected.
    pub connections: usize,
    /// How many certificates it has.
    pub certificates: CertificateCounts,
    /// What it has refused since its start, the most frequent reason first.
    pub refusals: Vec<RefusalCount>,
}

/// How many certificates a running proxy has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateCounts {
    /// Those in memory.
    pub in_memory: usize,
    /// The configured names that get one from a CA.
    pub names: usize,
    /// Those of them that have none in memory.
    pub names_without: usize,
}

/// How often something was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalCount {
    /// Why, in one word.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// That something was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// What, in one sentence.
    pub done: String,
}

/// Why a certificate is to be revoked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeRequest {
    pub(super) reason: String,
}

/// Why something was not done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) error: String,
}

impl CertificateFacts {
    pub(super) fn new(kept: &Kept, certificate: &Certificate) -> Self {
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
        let RecordToSet {
            issuer,
            name,
            value,
        } = record;
        Self {
            issuer,
            name,
            value,
        }
    }
}

impl AttemptsFacts {
    pub(super) fn new(attempts: &Attempts) -> Self {
        let failed_at = UNIX_EPOCH.checked_add(Duration::from_secs(attempts.failed_at));
        Self {
            failures: attempts.in_vain(),
            failed_at: failed_at.filter(|at| *at > UNIX_EPOCH).map(time),
            last_error: attempts.last_error.clone(),
            next_try: time(attempts.not_before()),
        }
    }
}

pub(super) fn time(at: SystemTime) -> String {
    /// The end of the year 9999: what lies behind it cannot be written.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().min(LAST);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_can_be_written() {
        let far = UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(time(far), "9999-12-31T23:59:59Z");
        assert_eq!(
            time(UNIX_EPOCH - Duration::from_secs(1)),
            "1970-01-01T00:00:00Z"
        );
    }
}
