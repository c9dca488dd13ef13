//! Whether an order can work, judged from what was seen of a name. Pure: it was seen elsewhere.

use std::net::IpAddr;

use super::reachability::Reachability;
use super::reason::{Reason, Record};
use crate::name::HostPattern;

/// What the look at a name came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing stands against an order.
    Go,
    /// It may fail.
    Doubt(Reason),
    /// It would fail, so the CA need not be asked.
    Hopeless(Reason),
}

/// What DNS says of one type of record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The addresses stand among the places.
    Found,
    /// The name has other records only.
    NoRecord,
    /// The name does not exist.
    NoName,
    /// No answer came.
    Failed(String),
}

/// Where a machine of ours stands to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// It is this machine's own.
    Own,
    /// This machine has a public address and this is another one.
    Foreign,
    /// This machine has none of its own, so that the address may be its router's.
    Unclear,
}

/// What came of fetching our token at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeOutcome {
    /// Our token.
    Ours,
    /// Something else.
    Other { status: u16 },
    /// The way to another URL.
    Redirect { status: u16 },
    /// No connection.
    Unreachable,
    /// A connection and no answer.
    Silent,
    /// It was not tried.
    Unvisited,
}

/// One address of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CheckedAddress {
    pub(super) record: Record,
    pub(super) address: IpAddr,
    pub(super) reach: Reachability,
    pub(super) ownership: Ownership,
    pub(super) visit: ProbeOutcome,
}

/// Everything that was seen of where a name points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) name: HostPattern,
    pub(super) a: Answer,
    pub(super) aaaa: Answer,
    pub(super) places: Vec<CheckedAddress>,
    /// The CA looks from the internet, and not from a network of its own with a DNS of its own.
    pub(super) has_public_ca: bool,
}

impl Findings {
    /// The worst that can be said. It is hopeless only where no view from elsewhere could be a better one: DNS may tell
    /// the CA another thing than this machine.
    pub(super) fn verdict(&self) -> Verdict {
        match self.objection() {
            Some(reason) if self.has_public_ca && !reason.is_of_view() => Verdict::Hopeless(reason),
            Some(reason) => Verdict::Doubt(reason),
            None => self.doubt().map_or(Verdict::Go, Verdict::Doubt),
        }
    }

    fn objection(&self) -> Option<Reason> {
        if self.failure().is_some() {
            return None;
        }
        let Some(place) = self.most_hopeful() else {
            return Some(match (&self.a, &self.aaaa) {
                (Answer::NoName, Answer::NoName) => Reason::NoSuchName(self.name.clone()),
                _ => Reason::NoAddress(self.name.clone()),
            });
        };
        if self.usable().next().is_none() {
            return Some(place.not_public());
        }
        // The CA goes to IPv6 first and comes back to IPv4 only when it gets no connection.
        let (six, four): (Vec<_>, Vec<_>) =
            self.usable().partition(|place| place.address.is_ipv6());
        elsewhere(if six.is_empty() { &four } else { &six })
    }

    fn doubt(&self) -> Option<Reason> {
        let visited = self.usable().filter_map(|place| place.doubt());
        let worst = visited.min_by_key(|(rank, _)| *rank);
        let useless = self.places.iter().find(|place| !self.is_usable(place));
        self.failure()
            .or_else(|| worst.map(|(_, reason)| reason))
            .or_else(|| useless.map(CheckedAddress::not_public))
    }

    /// An address that is only told inside a network, before one that nobody has.
    fn most_hopeful(&self) -> Option<&CheckedAddress> {
        let is_somebodys = |place: &&CheckedAddress| place.reach != Reachability::Documentation;
        let found = self.places.iter().find(is_somebodys);
        found.or_else(|| self.places.first())
    }

    /// The look-up that gave no answer: what it would have said is not known.
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

    /// The addresses that the CA may go to.
    fn usable(&self) -> impl Iterator<Item = &CheckedAddress> {
        self.places.iter().filter(|place| self.is_usable(place))
    }

    fn is_usable(&self, place: &CheckedAddress) -> bool {
        !self.has_public_ca || place.reach == Reachability::Public
    }
}

/// The first of `places` when all of them are other machines that answer.
fn elsewhere(places: &[&CheckedAddress]) -> Option<Reason> {
    let mut strangers = places.iter().map(|place| place.stranger());
    let first = strangers.next()??;
    strangers
        .all(|stranger| stranger.is_some())
        .then_some(first)
}

impl CheckedAddress {
    fn stranger(&self) -> Option<Reason> {
        match (self.ownership, self.visit) {
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

    /// What is to be said of the visit, the graver the lower its number.
    fn doubt(&self) -> Option<(u8, Reason)> {
        let (record, address) = (self.record, self.address);
        Some(match self.visit {
            ProbeOutcome::Ours | ProbeOutcome::Unvisited => return None,
            ProbeOutcome::Other { status } => match self.ownership {
                Ownership::Own => (0, Reason::OtherProgram { address, status }),
                Ownership::Foreign => (0, self.stranger()?),
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
    const STRANGER: ProbeOutcome = Other { status: 404 };

    fn place((address, ownership, visit): (&str, Ownership, ProbeOutcome)) -> CheckedAddress {
        let address: IpAddr = address.parse().unwrap();
        CheckedAddress {
            record: match address {
                IpAddr::V4(_) => Record::A,
                IpAddr::V6(_) => Record::Aaaa,
            },
            address,
            reach: Reachability::of(address),
            ownership,
            visit,
        }
    }

    fn seen(places: &[(&str, Ownership, ProbeOutcome)]) -> Findings {
        let places: Vec<_> = places.iter().copied().map(place).collect();
        let answer = |record| {
            if places.iter().any(|place| place.record == record) {
                Answer::Found
            } else {
                Answer::NoRecord
            }
        };
        Findings {
            name: HostPattern::parse("www.example.org").unwrap(),
            a: answer(Record::A),
            aaaa: answer(Record::Aaaa),
            places,
            has_public_ca: true,
        }
    }

    /// The verdict's word and its sentence.
    fn said(findings: &Findings) -> (&'static str, String) {
        match findings.verdict() {
            Verdict::Go => ("go", String::new()),
            Verdict::Doubt(reason) => ("doubt", reason.to_string()),
            Verdict::Hopeless(reason) => ("hopeless", reason.to_string()),
        }
    }

    fn assert_verdict(findings: &Findings, word: &str, start: &str) {
        let (found, sentence) = said(findings);
        assert_eq!(found, word, "{sentence}: {findings:?}");
        assert!(sentence.starts_with(start), "{sentence}: {findings:?}");
        assert_eq!(sentence.is_empty(), start.is_empty(), "{sentence}");
    }

    #[test]
    fn a_name_that_answers_with_our_token_everywhere_may_go() {
        for places in [
            &[(FOUR, Foreign, Ours)][..],
            &[(FOUR, Unclear, Ours), (SIX, Own, Ours)],
            &[(FOUR, Own, ProbeOutcome::Unvisited)],
        ] {
            assert_verdict(&seen(places), "go", "");
        }
    }

    #[test]
    fn a_name_without_an_address_is_a_doubt_as_another_dns_may_have_one() {
        let mut nothing = seen(&[]);
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
        let failed = "DNS does not say where www.example.org points: no answer";
        assert_verdict(&nothing, "doubt", failed);
        let mut half = seen(&[(FOUR, Foreign, Ours)]);
        half.aaaa = Answer::Failed("no answer".to_owned());
        assert_verdict(&half, "doubt", failed);
        half.places[0].visit = STRANGER;
        assert_verdict(&half, "doubt", failed);
    }

    #[test]
    fn addresses_that_no_public_ca_can_reach_are_hopeless_when_nobody_has_them() {
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
                "A points to 203.0.113.7, which is an address for documentation only",
            ),
            (
                "0.0.0.0",
                "doubt",
                "A points to 0.0.0.0, which is a reserved address",
            ),
            (
                "2001:db8::1",
                "hopeless",
                "AAAA points to 2001:db8::1, which is an address for documentation only",
            ),
        ] {
            let place = (address, Foreign, ProbeOutcome::Unvisited);
            assert_verdict(&seen(&[place]), alone, sentence);
            let beside = [place, (FOUR, Foreign, Ours)];
            assert_verdict(&seen(&beside), "doubt", sentence);
        }
        let both =
            ["203.0.113.7", "10.0.0.1"].map(|address| (address, Foreign, ProbeOutcome::Unvisited));
        assert_verdict(&seen(&both), "doubt", "A points to 10.0.0.1");
    }

    #[test]
    fn an_aaaa_that_another_machine_answers_is_hopeless_whatever_a_says() {
        let sentence = "AAAA points to 2620:fe::9, which is not this machine: it answers port 80 with status 404; \
                        point it here, or remove it";
        for four in [Ours, STRANGER, Unreachable] {
            let both = seen(&[(FOUR, Foreign, four), (SIX, Foreign, STRANGER)]);
            assert_verdict(&both, "hopeless", sentence);
        }
    }

    #[test]
    fn an_aaaa_without_a_connection_is_a_doubt() {
        let sentence =
            "AAAA points to 2620:fe::9, which is not reachable on port 80 from here; open port 80";
        assert_verdict(
            &seen(&[(FOUR, Foreign, Ours), (SIX, Foreign, Unreachable)]),
            "doubt",
            sentence,
        );
        // From elsewhere it may answer, so what A says is not the last word either.
        let both = seen(&[(FOUR, Foreign, STRANGER), (SIX, Foreign, Unreachable)]);
        assert_verdict(
            &both,
            "doubt",
            "A points to 9.9.9.9, which is not this machine",
        );
    }

    #[test]
    fn an_a_that_another_machine_answers_is_hopeless_when_all_are_so() {
        let sentence =
            "A points to 9.9.9.9, which is not this machine: it answers port 80 with status 404";
        assert_verdict(&seen(&[(FOUR, Foreign, STRANGER)]), "hopeless", sentence);
        let two = [
            (FOUR, Foreign, STRANGER),
            ("1.1.1.1", Foreign, Other { status: 200 }),
        ];
        assert_verdict(&seen(&two), "hopeless", sentence);
        for other in [Ours, Unreachable, Silent, Redirect { status: 301 }] {
            let mixed = [(FOUR, Foreign, STRANGER), ("1.1.1.1", Foreign, other)];
            assert_verdict(&seen(&mixed), "doubt", sentence);
        }
    }

    #[test]
    fn what_may_look_otherwise_from_outside_is_a_doubt() {
        for (ownership, visit, sentence) in [
            (
                Unclear,
                STRANGER,
                "A points to 9.9.9.9, which is perhaps not this machine",
            ),
            (
                Own,
                STRANGER,
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
            assert_verdict(&seen(&[(FOUR, ownership, visit)]), "doubt", sentence);
        }
    }

    #[test]
    fn of_several_doubts_the_gravest_is_told() {
        let places = [
            ("1.1.1.1", Foreign, Unreachable),
            ("1.1.1.2", Foreign, Silent),
            ("1.1.1.3", Foreign, Redirect { status: 301 }),
            ("1.1.1.4", Unclear, STRANGER),
            ("1.1.1.5", Own, STRANGER),
        ];
        for count in 1..=places.len() {
            let gravest = places[count - 1].0;
            let (word, sentence) = said(&seen(&places[..count]));
            assert!(word == "doubt" && sentence.contains(gravest), "{sentence}");
        }
    }

    #[test]
    fn with_a_private_ca_nothing_is_hopeless_and_private_addresses_are_good() {
        let private = |findings| Findings {
            has_public_ca: false,
            ..findings
        };
        let missing = private(seen(&[]));
        assert_verdict(&missing, "doubt", "www.example.org has neither an A");
        let stranger = private(seen(&[("10.0.0.1", Foreign, STRANGER)]));
        assert_verdict(
            &stranger,
            "doubt",
            "A points to 10.0.0.1, which is not this machine",
        );
        assert_verdict(&private(seen(&[("10.0.0.1", Foreign, Ours)])), "go", "");
    }

    #[test]
    fn an_address_that_is_the_name_itself_is_called_by_itself() {
        let mut literal = seen(&[(FOUR, Foreign, STRANGER)]);
        literal.places[0].record = Record::Literal;
        let sentence = "9.9.9.9 is not this machine: it answers port 80 with status 404; \
                        serve it from the machine that has it";
        assert_verdict(&literal, "hopeless", sentence);
    }
}
