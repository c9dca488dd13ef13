//! Evaluation of CAA records (RFC 8659, RFC 8657). Pure: the caller looks up the records.

use super::reason::CaaReason;
use crate::acme::ChallengeType;
use crate::certs::dns::{Caa, CaaSet};

/// Properties that CAs know. An unknown critical property forbids every CA to issue.
const KNOWN: [&str; 7] = [
    "issue",
    "issuewild",
    "iodef",
    "issuemail",
    "issuevmc",
    "contactemail",
    "contactphone",
];

/// Number of characters of a DNS text that are shown.
const SHOWN: usize = 64;

/// CA, account and challenges of a planned order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Applicant<'a> {
    /// Names of the CA; empty if they are unknown.
    pub(super) identities: &'a [String],
    /// URL of the account, if it exists already.
    pub(super) account: Option<&'a str>,
    /// Challenges that would be used.
    pub(super) challenges: &'a [ChallengeType],
}

/// Returns a reason why the records certainly forbid the order. If the names of the CA are unknown, only reasons against
/// every CA count.
pub(super) fn objection(
    set: &CaaSet,
    is_wildcard: bool,
    applicant: Applicant<'_>,
) -> Option<CaaReason> {
    let is_unknown = |record: &&Caa| record.is_critical && !KNOWN.contains(&record.tag.as_str());
    if let Some(record) = set.records.iter().find(is_unknown) {
        return Some(CaaReason::Critical {
            owner: set.name.clone(),
            property: shown(&record.tag),
        });
    }
    let (property, values) = issue_values(set, is_wildcard)?;
    let grants: Vec<_> = values.into_iter().filter_map(Grant::parse).collect();
    let is_ours = |grant: &&Grant<'_>| grant.is_for(applicant.identities);
    let ours: Vec<_> = grants.iter().filter(is_ours).collect();
    if !ours.is_empty() {
        return parameter_objection(&set.name, &ours, applicant);
    }
    if applicant.identities.is_empty() && !grants.is_empty() {
        return None;
    }
    Some(CaaReason::Issuer {
        owner: set.name.clone(),
        property,
        allowed: grants.iter().map(|grant| shown(grant.issuer)).collect(),
        identity: applicant.identities.first().map(|name| shown(name)),
    })
}

/// Returns the property that applies with its values (RFC 8659 sections 4.2 and 4.3); `None` if nothing is restricted.
fn issue_values(set: &CaaSet, is_wildcard: bool) -> Option<(&'static str, Vec<&str>)> {
    let of = |property: &'static str| {
        let records = set.records.iter().filter(|record| record.tag == property);
        let values: Vec<_> = records.map(|record| record.value.as_str()).collect();
        (!values.is_empty()).then_some((property, values))
    };
    let wild = if is_wildcard { of("issuewild") } else { None };
    wild.or_else(|| of("issue"))
}

/// Returns the first objection of the grants; `None` if one grant has no objection.
fn parameter_objection(
    owner: &str,
    grants: &[&Grant<'_>],
    applicant: Applicant<'_>,
) -> Option<CaaReason> {
    let mut objections = grants.iter().map(|grant| grant.objection(owner, applicant));
    let first = objections.next()??;
    objections.all(|it| it.is_some()).then_some(first)
}

/// Value of `issue` or `issuewild` that names a CA.
struct Grant<'a> {
    issuer: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Grant<'a> {
    /// Parses a value. One that is malformed or names no CA grants nothing (RFC 8659 section 4.2).
    fn parse(value: &'a str) -> Option<Self> {
        let mut parts = value.split(';').map(str::trim);
        let issuer = parts.next().filter(|issuer| is_domain(issuer))?;
        let parameters = parts
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=')?;
                Some((name.trim(), value.trim()))
            })
            .collect::<Option<_>>()?;
        Some(Self { issuer, parameters })
    }

    fn is_for(&self, identities: &[String]) -> bool {
        let bare = |name: &'a str| name.trim_end_matches('.');
        let mut identities = identities.iter();
        identities
            .any(|identity| bare(self.issuer).eq_ignore_ascii_case(identity.trim_end_matches('.')))
    }

    fn objection(&self, owner: &str, applicant: Applicant<'_>) -> Option<CaaReason> {
        let owner = owner.to_owned();
        if let Some(allowed) = self.refused_methods(applicant.challenges) {
            let wanted = applicant.challenges.to_vec();
            return Some(CaaReason::Methods {
                owner,
                allowed,
                wanted,
            });
        }
        let (named, account) = (self.parameter("accounturi")?, applicant.account?);
        (named != account).then(|| CaaReason::Account {
            owner,
            account: shown(account),
        })
    }

    /// Returns the allowed methods if they include none of `challenges` (RFC 8657 section 4).
    fn refused_methods(&self, challenges: &[ChallengeType]) -> Option<Vec<String>> {
        let methods = self.parameter("validationmethods")?;
        let methods: Vec<_> = methods.split(',').map(str::trim).collect();
        let is_allowed = |challenge: &ChallengeType| {
            let challenge = challenge.to_string();
            methods.iter().any(|method| *method == challenge)
        };
        let is_refused = !challenges.is_empty() && !challenges.iter().any(is_allowed);
        is_refused.then(|| methods.into_iter().map(shown).collect())
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }
}

fn is_domain(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !text.is_empty() && text.bytes().all(is_letter)
}

/// Shortens and escapes a DNS text for messages.
fn shown(text: &str) -> String {
    text.chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "https://ca.example/acct/1";

    fn set(records: &[(&str, &str)]) -> CaaSet {
        let records = records.iter().map(|(tag, value)| Caa {
            is_critical: tag.starts_with('!'),
            tag: tag.trim_start_matches('!').to_owned(),
            value: (*value).to_owned(),
        });
        CaaSet {
            name: "example.org".to_owned(),
            records: records.collect(),
        }
    }

    fn objection(records: &[(&str, &str)], is_wildcard: bool) -> String {
        let applicant = Applicant {
            identities: &["ca.example".to_owned(), "ca.test".to_owned()],
            account: Some(ACCOUNT),
            challenges: &[ChallengeType::Http01, ChallengeType::TlsAlpn01],
        };
        let objection = super::objection(&set(records), is_wildcard, applicant);
        objection.map_or_else(String::new, |reason| reason.to_string())
    }

    #[test]
    fn records_that_allow_the_issuer_raise_no_objection() {
        for records in [
            &[][..],
            &[("iodef", "mailto:ops@example.org")],
            &[("issuewild", ";")],
            &[("issue", "ca.example")],
            &[("issue", " CA.Test. ")],
            &[("issue", "other.example"), ("issue", "ca.test;")],
            &[("issue", "ca.example; validationmethods=dns-01,http-01")],
            &[("issue", "ca.example; accounturi=https://ca.example/acct/1")],
            &[("issue", "ca.example; of-the-future=1")],
            &[
                ("issue", "ca.example; validationmethods=dns-01"),
                ("issue", "ca.example"),
            ],
            &[
                ("!issue", "ca.example"),
                ("!contactemail", "ops@example.org"),
            ],
            &[("unknown", "x"), ("issue", "ca.example")],
        ] {
            assert_eq!(objection(records, false), "", "{records:?}");
        }
    }

    #[test]
    fn a_record_for_another_issuer_is_reported_with_the_record_to_add() {
        assert_eq!(
            objection(
                &[("issue", "letsencrypt.org"), ("issue", "pki.goog")],
                false
            ),
            "CAA forbids this issuer: the records of example.org allow letsencrypt.org, pki.goog; \
             add `issue \"ca.example\"` to them"
        );
    }

    #[test]
    fn an_empty_or_malformed_value_allows_nobody() {
        for value in [
            ";",
            "",
            " ; ",
            "%%%",
            "ca.example; validationmethods",
            "ca example",
        ] {
            assert_eq!(
                objection(&[("issue", value)], false),
                "CAA forbids this issuer: the records of example.org allow nobody; \
                 add `issue \"ca.example\"` to them",
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_wildcard_obeys_issuewild_before_issue() {
        let both = [("issue", "ca.example"), ("issuewild", "other.example")];
        assert_eq!(objection(&both, false), "");
        assert!(objection(&both, true).ends_with("add `issuewild \"ca.example\"` to them"));
        assert_eq!(
            objection(&[("issue", ";"), ("issuewild", "ca.example")], true),
            ""
        );
        assert!(objection(&[("issue", ";")], true).contains("allow nobody"));
    }

    #[test]
    fn the_parameters_of_rfc_8657_are_respected() {
        assert_eq!(
            objection(&[("issue", "ca.example; validationmethods=dns-01")], false),
            "CAA forbids how this issuer validates: the record of example.org allows dns-01 only; \
             add http-01, tls-alpn-01 to its validationmethods"
        );
        assert_eq!(
            objection(
                &[("issue", "ca.example;accounturi=https://ca.example/acct/2")],
                false
            ),
            "CAA forbids this issuer's account: the record of example.org names another one; \
             set its accounturi to https://ca.example/acct/1, or remove it"
        );
    }

    #[test]
    fn an_unknown_critical_property_forbids_every_issuer() {
        let records = [("issue", "ca.example"), ("!tbs\u{1b}", "x")];
        assert_eq!(
            objection(&records, false),
            "CAA forbids every issuer: the records of example.org have the critical property tbs\\u{1b}, \
             which no CA knows; correct or remove it"
        );
    }

    #[test]
    fn an_unknown_ca_or_account_is_refused_only_by_records_against_everybody() {
        let unknown = Applicant {
            identities: &[],
            account: None,
            challenges: &[ChallengeType::Http01],
        };
        let known = Applicant {
            identities: &["ca.example".to_owned()],
            ..unknown
        };
        let other = set(&[("issue", "other.example")]);
        assert_eq!(super::objection(&other, false, unknown), None);
        let none = super::objection(&set(&[("issue", ";")]), false, unknown).unwrap();
        assert!(
            none.to_string()
                .ends_with("add an `issue` record that names the CA")
        );
        let account = set(&[("issue", "ca.example; accounturi=https://ca.example/acct/2")]);
        assert_eq!(super::objection(&account, false, known), None);
    }
}
