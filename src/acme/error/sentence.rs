//! Parts of the sentences of errors, with what the operator can do.

use std::time::Duration;

use url::Url;

use crate::acme::resource::{ChallengeType, Identifier, Problem, ProblemKind};
use crate::trust::UnknownCertificate;

/// Most types of challenges that are listed.
const SHOWN: usize = 10;

pub(in crate::acme) fn authority(url: &Url) -> &str {
    &url[url::Position::BeforeHost..url::Position::AfterPort]
}

pub(in crate::acme) fn allowed_again(retry_after: &Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| {
        let wait = humantime::format_duration(Duration::from_secs(wait.as_secs().max(1)));
        format!("; it allows the next attempt in {wait}")
    })
}

/// Says why this machine does not believe the CA's own HTTPS certificate, and the fix.
pub(in crate::acme) fn unknown_certificate_fix(unknown: &UnknownCertificate) -> String {
    let fingerprint = unknown.fingerprint();
    let add = "and add `root = \"FILE\"` to the issuer, or --acme-root FILE";
    match unknown.old_version() {
        Some(version) => format!(
            "its certificate has X.509 version {version}, for which no root can vouch; if its SHA-256 is {fingerprint}, save this very certificate as FILE {add}"
        ),
        None => format!(
            "its certificate is not signed by a known root; if the CA is private, save its root as FILE, or this very certificate if its SHA-256 is {fingerprint}, {add}"
        ),
    }
}

pub(in crate::acme) fn because(problem: Option<&Problem>) -> String {
    problem.map_or_else(String::new, |problem| format!(": {problem}"))
}

pub(in crate::acme) fn listed(types: &[ChallengeType], separator: &str) -> String {
    match types {
        [] => "nothing".to_owned(),
        types => {
            let mut names: Vec<_> = types.iter().take(SHOWN).map(ToString::to_string).collect();
            if types.len() > SHOWN {
                names.push("others".to_owned());
            }
            names.join(separator)
        }
    }
}

/// Says what the CA found at the challenge, and how the operator can correct it.
pub(in crate::acme) fn failed_authorization(
    name: &Identifier,
    challenge: &ChallengeType,
    problem: Option<&Problem>,
) -> String {
    let Some(problem) = problem else {
        return format!("the CA could not validate {name} by {challenge}, and did not say why");
    };
    let details = problem.details();
    let said = details.trim_end_matches('.');
    if let Some(sentence) = missing_record(name, challenge, problem, said) {
        return sentence;
    }
    let (place, port) = match challenge {
        ChallengeType::Http01 => (
            format!("http://{}/.well-known/acme-challenge/", name.host()),
            80,
        ),
        ChallengeType::TlsAlpn01 => (name.host(), 443),
        _ => (name.host(), 80),
    };
    match problem.kind {
        ProblemKind::Connection => format!(
            "the CA could not reach {place} on port {port}: {said}; \
             open port {port} to the internet and point {name}'s DNS at this machine"
        ),
        ProblemKind::Dns => format!(
            "the CA could not look up {name} in DNS: {said}; \
             give it an A or AAAA record that points at this machine"
        ),
        ProblemKind::Unauthorized | ProblemKind::IncorrectResponse => format!(
            "the CA asked {place} and did not get this machine's answer: {said}; \
             point {name}'s DNS at this machine and nowhere else"
        ),
        ProblemKind::Tls => format!(
            "the CA could not make a TLS connection to {name}: {said}; \
             point its DNS at this machine, with nothing in front of it that terminates TLS"
        ),
        ProblemKind::Caa => format!(
            "a CAA record for {name} does not allow this CA: {said}; \
             add the CA to the record, or remove it"
        ),
        _ => format!("the CA could not validate {name} by {challenge}: {problem}"),
    }
}

/// Returns the sentence for a TXT record that the CA did not find, if that is the problem.
fn missing_record(
    name: &Identifier,
    challenge: &ChallengeType,
    problem: &Problem,
    said: &str,
) -> Option<String> {
    let is_missing = matches!(
        problem.kind,
        ProblemKind::Dns | ProblemKind::Unauthorized | ProblemKind::IncorrectResponse
    );
    match challenge {
        ChallengeType::Dns01 if is_missing => Some(format!(
            "the CA did not find this machine's TXT record at _acme-challenge.{name}: {said}; \
             check that all name servers of the zone serve what `dns` writes"
        )),
        ChallengeType::DnsPersist01 if is_missing => Some(format!(
            "the CA did not find the TXT record at _validation-persist.{name} that authorizes this account: \
             {said}; set the record that `proxy certs show` prints"
        )),
        _ => None,
    }
}
