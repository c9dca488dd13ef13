//! The verdict on a name: whether an order can succeed, given the findings. Pure: the findings are collected elsewhere.

use std::net::IpAddr;

use super::reachability::Reachability;
use super::reason::{Reason, Record};
use crate::name::HostPattern;

/// Result of the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No problem was found.
    Go,
    /// The order may fail.
    Doubt(Reason),
    /// The order would fail, so it is not placed.
    Hopeless(Reason),
}

/// Result of the look-up of one record type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The name has such records; the findings list their addresses.
    Found,
    /// The name exists but has no such record.
    NoRecord,
    /// The name does not exist.
    NoName,
    /// The look-up failed.
    Failed(String),
}

/// Machine to which an address belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// This machine.
    Own,
    /// Another machine: this one has a public address, and it is a different one.
    Foreign,
    /// Unclear: this machine has no public address, so the address may be that of its router.
    Unclear,
}

/// ProbeOutcome of an address to the request for the probe token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeOutcome {
    /// The answer of the token.
    Ours,
    /// Another answer.
    Other { status: u16 },
    /// A redirect.
    Redirect { status: u16 },
    /// No connection.
    Unreachable,
    /// A connection but no answer.
    Silent,
    /// No request was sent.
    NotProbed,
}

/// Address of the name, with what is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CheckedAddress {
    pub(super) record: Record,
    pub(super) address: IpAddr,
    pub(super) reach: Reachability,
    pub(super) ownership: Ownership,
    pub(super) outcome: ProbeOutcome,
}

/// Everything that is known about the addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) name: HostPattern,
    pub(super) a: Answer,
    pub(super) aaaa: Answer,
    pub(super) addresses: Vec<CheckedAddress>,
    /// Whether the CA validates from the internet, not from a private network with its own DNS.
    pub(super) has_public_ca: bool,
}

impl Findings {
    /// Returns the most serious verdict. It is hopeless only if DNS cannot give the CA a better answer than this machine.
    pub(super) fn verdict(&self) -> Verdict {
        match self.objection() {
            Some(reason) if self.has_public_ca && !reason.may_be_local_view() => {
                Verdict::Hopeless(reason)
            }
            Some(reason) => Verdict::Doubt(reason),
            None => self.doubt().map_or(Verdict::Go, Verdict::Doubt),
        }
    }

    /// Returns the verdict on the records alone.
    pub(super) fn records_verdict(&self) -> Verdict {
        match self.records_objection() {
            Some(reason) if self.has_public_ca && !reason.may_be_local_view() => {
                Verdict::Hopeless(reason)
            }
            Some(reason) => Verdict::Doubt(reason),
            None => self.records_doubt().map_or(Verdict::Go, Verdict::Doubt),
        }
    }

    /// Returns the verdict on the answers at port 80 alone; `None` if no request was sent. An address of this machine that
    /// does not answer is certainly closed, since no router is in between.
    pub(super) fn answers_verdict(&self) -> Option<Verdict> {
        let mut probed = self
            .usable()
            .filter(|it| it.outcome != ProbeOutcome::NotProbed);
        probed.next()?;
        let is_closed = |it: &&CheckedAddress| {
            let is_closed = matches!(it.outcome, ProbeOutcome::Unreachable | ProbeOutcome::Silent);
            it.ownership == Ownership::Own && is_closed
        };
        let closed = self.usable().find(is_closed).and_then(|it| it.doubt());
        Some(match self.answers_objection() {
            Some(reason) if self.has_public_ca => Verdict::Hopeless(reason),
            Some(reason) => Verdict::Doubt(reason),
            None => match (closed, self.answers_doubt()) {
                (Some((_, reason)), _) => Verdict::Hopeless(reason),
                (None, Some(reason)) => Verdict::Doubt(reason),
                (None, None) => Verdict::Go,
            },
        })
    }

    fn objection(&self) -> Option<Reason> {
        self.records_objection()
            .or_else(|| self.answers_objection())
    }

    fn records_objection(&self) -> Option<Reason> {
        if self.failure().is_some() {
            return None;
        }
        let Some(address) = self.most_plausible() else {
            return Some(match (&self.a, &self.aaaa) {
                (Answer::NoName, Answer::NoName) => Reason::NoSuchName(self.name.clone()),
                _ => Reason::NoAddress(self.name.clone()),
            });
        };
        let is_usable = self.usable().next().is_some();
        (!is_usable).then(|| address.not_public())
    }

    fn answers_objection(&self) -> Option<Reason> {
        if self.failure().is_some() {
            return None;
        }
        // The CA prefers IPv6 and uses IPv4 only if it cannot connect.
        let (six, four): (Vec<_>, Vec<_>) =
            self.usable().partition(|address| address.address.is_ipv6());
        elsewhere(if six.is_empty() { &four } else { &six })
    }

    fn doubt(&self) -> Option<Reason> {
        self.failure()
            .or_else(|| self.answers_doubt())
            .or_else(|| self.records_doubt())
    }

    fn records_doubt(&self) -> Option<Reason> {
        let mut addresses = self.addresses.iter();
        let unusable = addresses.find(|address| !self.is_usable(address));
        self.failure()
            .or_else(|| unusable.map(CheckedAddress::not_public))
    }

    fn answers_doubt(&self) -> Option<Reason> {
        let doubts = self.usable().filter_map(|address| address.doubt());
        let worst = doubts.min_by_key(|(rank, _)| *rank);
        worst.map(|(_, reason)| reason)
    }

    /// Returns the first address that some machine can have, otherwise the first documentation address.
    fn most_plausible(&self) -> Option<&CheckedAddress> {
        let is_real = |address: &&CheckedAddress| address.reach != Reachability::Documentation;
        let found = self.addresses.iter().find(is_real);
        found.or_else(|| self.addresses.first())
    }

    /// Returns the failed look-up, if any. Its answer is unknown, so it proves nothing.
    fn failure(&self) -> Option<Reason> {
        let error = [&self.a, &self.aaaa]
            .into_iter()
            .find_map(|answer| match answer {
                Answer::Failed(error) => Some(error.clone()),
                _ => None,
            })?;
        Some(Reason::LookupFailed {
            name: self.name.clone(),
            error,
        })
    }

    /// Returns the addresses that the CA can reach.
    fn usable(&self) -> impl Iterator<Item = &CheckedAddress> {
        self.addresses
            .iter()
            .filter(|address| self.is_usable(address))
    }

    fn is_usable(&self, address: &CheckedAddress) -> bool {
        !self.has_public_ca || address.reach == Reachability::Public
    }
}

/// Returns the reason of the first address if other machines answer at all of them.
fn elsewhere(addresses: &[&CheckedAddress]) -> Option<Reason> {
    let mut reasons = addresses.iter().map(|address| address.elsewhere());
    let first = reasons.next()??;
    reasons.all(|reason| reason.is_some()).then_some(first)
}

impl CheckedAddress {
    fn elsewhere(&self) -> Option<Reason> {
        match (self.ownership, self.outcome) {
            (Ownership::Foreign, ProbeOutcome::Other { status }) => Some(Reason::Elsewhere {
                record: self.record,
                address: self.address,
                status,
            }),
            _ => None,
        }
    }

    fn not_public(&self) -> Reason {
        Reason::NotPublic {
            record: self.record,
            address: self.address,
            reach: self.reach,
        }
    }

    /// Returns the doubt that the response raises, with its rank. Lower ranks are more serious.
    fn doubt(&self) -> Option<(u8, Reason)> {
        let (record, address) = (self.record, self.address);
        Some(match self.outcome {
            ProbeOutcome::Ours | ProbeOutcome::NotProbed => return None,
            ProbeOutcome::Other { status } => match self.ownership {
                Ownership::Own => (0, Reason::OtherProgram { address, status }),
                Ownership::Foreign => (0, self.elsewhere()?),
                Ownership::Unclear => (
                    1,
                    Reason::MaybeElsewhere {
                        record,
                        address,
                        status,
                    },
                ),
            },
            ProbeOutcome::Redirect { status } => (
                2,
                Reason::Redirect {
                    record,
                    address,
                    status,
                },
            ),
            ProbeOutcome::Silent => (3, Reason::Silent { record, address }),
            ProbeOutcome::Unreachable => (4, Reason::Unreachable { record, address }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Ownership::{Foreign, Own, Unclear};
    use ProbeOutcome::{Other, Ours, Redirect, Silent, Unreachable};

    const FOUR: &str = "9.9.9.9";
    const SIX: &str = "2620:fe::9";
    const FOREIGN_ANSWER: ProbeOutcome = Other { status: 404 };

    fn checked((address, ownership, outcome): (&str, Ownership, ProbeOutcome)) -> CheckedAddress {
        let address: IpAddr = address.parse().unwrap();
        CheckedAddress {
            record: match address {
                IpAddr::V4(_) => Record::A,
                IpAddr::V6(_) => Record::Aaaa,
            },
            address,
            reach: Reachability::of(address),
            ownership,
            outcome,
        }
    }

    fn findings(addresses: &[(&str, Ownership, ProbeOutcome)]) -> Findings {
        let addresses: Vec<_> = addresses.iter().copied().map(checked).collect();
        let answer = |record| {
            if addresses.iter().any(|address| address.record == record) {
                Answer::Found
            } else {
                Answer::NoRecord
            }
        };
        Findings {
            name: HostPattern::parse("www.example.org").unwrap(),
            a: answer(Record::A),
            aaaa: answer(Record::Aaaa),
            addresses,
            has_public_ca: true,
        }
    }

    /// Returns the kind of the verdict and its sentence.
    fn judged(findings: &Findings) -> (&'static str, String) {
        match findings.verdict() {
            Verdict::Go => ("go", String::new()),
            Verdict::Doubt(reason) => ("doubt", reason.to_string()),
            Verdict::Hopeless(reason) => ("hopeless", reason.to_string()),
        }
    }

    fn assert_verdict(findings: &Findings, word: &str, start: &str) {
        let (found, sentence) = judged(findings);
        assert_eq!(found, word, "{sentence}: {findings:?}");
        assert!(sentence.starts_with(start), "{sentence}: {findings:?}");
        assert_eq!(sentence.is_empty(), start.is_empty(), "{sentence}");
    }

    #[test]
    fn a_name_that_answers_with_the_token_everywhere_passes() {
        for addresses in [
            &[(FOUR, Foreign, Ours)][..],
            &[(FOUR, Unclear, Ours), (SIX, Own, Ours)],
            &[(FOUR, Own, ProbeOutcome::NotProbed)],
        ] {
            assert_verdict(&findings(addresses), "go", "");
        }
    }

    #[test]
    fn a_missing_address_is_a_doubt_because_other_dns_servers_may_have_one() {
        let mut nothing = findings(&[]);
        let none = "www.example.org has neither an A nor an AAAA record; add one";
        assert_verdict(&nothing, "doubt", none);
        nothing.a = Answer::NoName;
        assert_verdict(&nothing, "doubt", none);
        nothing.aaaa = Answer::NoName;
        assert_verdict(
            &nothing,
            "doubt",
            "www.example.org does not exist in DNS; add an A",
        );
        nothing.aaaa = Answer::Failed("no answer".to_owned());
        let failed = "the addresses of www.example.org cannot be looked up: no answer";
        assert_verdict(&nothing, "doubt", failed);
        let mut half = findings(&[(FOUR, Foreign, Ours)]);
        half.aaaa = Answer::Failed("no answer".to_owned());
        assert_verdict(&half, "doubt", failed);
        half.addresses[0].outcome = FOREIGN_ANSWER;
        assert_verdict(&half, "doubt", failed);
    }

    #[test]
    fn documentation_addresses_are_hopeless_and_other_non_public_ones_doubtful() {
        for (address, alone, sentence) in [
            (
                "192.168.1.5",
                "doubt",
                "A points to 192.168.1.5, which is a private address that no public CA",
            ),
            (
                "127.0.0.1",
                "doubt",
                "A points to 127.0.0.1, which is a loopback address",
            ),
            (
                "203.0.113.7",
                "hopeless",
                "A points to 203.0.113.7, which is a documentation address",
            ),
            (
                "0.0.0.0",
                "doubt",
                "A points to 0.0.0.0, which is a reserved address",
            ),
            (
                "2001:db8::1",
                "hopeless",
                "AAAA points to 2001:db8::1, which is a documentation address",
            ),
        ] {
            let unusable = (address, Foreign, ProbeOutcome::NotProbed);
            assert_verdict(&findings(&[unusable]), alone, sentence);
            let both = [unusable, (FOUR, Foreign, Ours)];
            assert_verdict(&findings(&both), "doubt", sentence);
        }
        let both =
            ["203.0.113.7", "10.0.0.1"].map(|address| (address, Foreign, ProbeOutcome::NotProbed));
        assert_verdict(&findings(&both), "doubt", "A points to 10.0.0.1");
    }

    #[test]
    fn an_aaaa_record_to_another_machine_is_hopeless_whatever_the_a_record() {
        let sentence = "AAAA points to 2620:fe::9, which is not this machine: it answers port 80 with status 404; \
                        point it here, or remove it";
        for four in [Ours, FOREIGN_ANSWER, Unreachable] {
            let both = findings(&[(FOUR, Foreign, four), (SIX, Foreign, FOREIGN_ANSWER)]);
            assert_verdict(&both, "hopeless", sentence);
        }
    }

    #[test]
    fn an_aaaa_record_without_a_connection_is_a_doubt() {
        let sentence =
            "AAAA points to 2620:fe::9, which is not reachable on port 80 from here; open port 80";
        assert_verdict(
            &findings(&[(FOUR, Foreign, Ours), (SIX, Foreign, Unreachable)]),
            "doubt",
            sentence,
        );
        // The AAAA address may answer from elsewhere, so the A record is not decisive either.
        let both = findings(&[(FOUR, Foreign, FOREIGN_ANSWER), (SIX, Foreign, Unreachable)]);
        assert_verdict(
            &both,
            "doubt",
            "A points to 9.9.9.9, which is not this machine",
        );
    }

    #[test]
    fn an_a_record_to_another_machine_is_hopeless_if_all_addresses_are() {
        let sentence =
            "A points to 9.9.9.9, which is not this machine: it answers port 80 with status 404";
        assert_verdict(
            &findings(&[(FOUR, Foreign, FOREIGN_ANSWER)]),
            "hopeless",
            sentence,
        );
        let two = [
            (FOUR, Foreign, FOREIGN_ANSWER),
            ("1.1.1.1", Foreign, Other { status: 200 }),
        ];
        assert_verdict(&findings(&two), "hopeless", sentence);
        for other in [Ours, Unreachable, Silent, Redirect { status: 301 }] {
            let mixed = [(FOUR, Foreign, FOREIGN_ANSWER), ("1.1.1.1", Foreign, other)];
            assert_verdict(&findings(&mixed), "doubt", sentence);
        }
    }

    #[test]
    fn a_result_that_may_differ_from_outside_is_a_doubt() {
        for (ownership, outcome, sentence) in [
            (
                Unclear,
                FOREIGN_ANSWER,
                "A points to 9.9.9.9, which is perhaps not this machine",
            ),
            (
                Own,
                FOREIGN_ANSWER,
                "another program answers port 80 of 9.9.9.9 with status 404",
            ),
            (
                Foreign,
                Redirect { status: 302 },
                "A points to 9.9.9.9, which is answering port 80 with a redirect",
            ),
            (
                Foreign,
                Silent,
                "A points to 9.9.9.9, which is accepting connections on port 80",
            ),
            (
                Own,
                Unreachable,
                "A points to 9.9.9.9, which is not reachable on port 80 from here",
            ),
        ] {
            assert_verdict(&findings(&[(FOUR, ownership, outcome)]), "doubt", sentence);
        }
    }

    #[test]
    fn the_most_serious_doubt_is_reported() {
        let addresses = [
            ("1.1.1.1", Foreign, Unreachable),
            ("1.1.1.2", Foreign, Silent),
            ("1.1.1.3", Foreign, Redirect { status: 301 }),
            ("1.1.1.4", Unclear, FOREIGN_ANSWER),
            ("1.1.1.5", Own, FOREIGN_ANSWER),
        ];
        for count in 1..=addresses.len() {
            let expected = addresses[count - 1].0;
            let (word, sentence) = judged(&findings(&addresses[..count]));
            assert!(word == "doubt" && sentence.contains(expected), "{sentence}");
        }
    }

    #[test]
    fn with_a_private_ca_nothing_is_hopeless_and_private_addresses_pass() {
        let private = |findings| Findings {
            has_public_ca: false,
            ..findings
        };
        let missing = private(findings(&[]));
        assert_verdict(&missing, "doubt", "www.example.org has neither an A");
        let stranger = private(findings(&[("10.0.0.1", Foreign, FOREIGN_ANSWER)]));
        assert_verdict(
            &stranger,
            "doubt",
            "A points to 10.0.0.1, which is not this machine",
        );
        assert_verdict(&private(findings(&[("10.0.0.1", Foreign, Ours)])), "go", "");
    }

    #[test]
    fn a_subject_that_is_an_address_is_named_directly() {
        let mut literal = findings(&[(FOUR, Foreign, FOREIGN_ANSWER)]);
        literal.addresses[0].record = Record::Literal;
        let sentence = "9.9.9.9 is not this machine: it answers port 80 with status 404; \
                        serve it from the machine that has it";
        assert_verdict(&literal, "hopeless", sentence);
    }
}
