//! The problems that are open, and which of them the operator was told. Pure: others look for problems and send the events.

use std::collections::HashMap;
use std::mem;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::problem::{Change, Event, Kind, Problem};

/// Least time between two messages about the same problem, in which it may have been over for a while.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Key by which two findings are the same problem.
type Cause = (Kind, String);

/// The open problems.
#[derive(Debug, Default)]
pub(super) struct OpenProblems {
    open: HashMap<Cause, Open>,
    /// Times of the last messages.
    told: HashMap<Cause, Instant>,
}

#[derive(Debug)]
struct Open {
    problem: Problem,
    since: SystemTime,
    is_told: bool,
}

impl OpenProblems {
    /// Takes over what a look at these kinds has found. Returns the events that are due: a problem is told when it comes up,
    /// but only once an hour, and its end is told if the problem was.
    pub(super) fn update(
        &mut self,
        kinds: &[Kind],
        found: Vec<Problem>,
        now: (Instant, SystemTime),
    ) -> Vec<Event> {
        let (now, time) = now;
        self.told.retain(|_, told| now - *told < INTERVAL);
        let mut before = mem::take(&mut self.open);
        let mut events = Vec::new();
        for problem in found {
            let cause = (problem.kind, problem.cause.clone());
            let known = before.remove(&cause);
            let mut open = Open {
                since: known.as_ref().map_or(time, |known| known.since),
                is_told: known.is_some_and(|known| known.is_told),
                problem,
            };
            if !open.is_told && !self.told.contains_key(&cause) {
                open.is_told = true;
                self.told.insert(cause.clone(), now);
                events.push(open.event(Change::Problem));
            }
            self.open.insert(cause, open);
        }
        for (cause, open) in before {
            if !kinds.contains(&cause.0) {
                self.open.insert(cause, open);
            } else if open.is_told {
                events.push(open.event(Change::Over));
            }
        }
        events
    }
}

impl Open {
    fn event(&self, event: Change) -> Event {
        let Problem {
            kind,
            subject,
            sentence,
            ..
        } = self.problem.clone();
        Event {
            event,
            kind,
            subject,
            sentence,
            since: humantime::format_rfc3339_seconds(self.since).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: Kind, cause: &str) -> Problem {
        Problem {
            kind,
            cause: cause.to_owned(),
            subject: format!("subject of {cause}"),
            sentence: format!("{cause} is down"),
        }
    }

    /// The clock of a test, and its problems.
    struct Looks {
        open: OpenProblems,
        start: Instant,
    }

    impl Looks {
        /// The events of a look at upstreams after so many seconds.
        fn at(&mut self, seconds: u64, found: &[&str]) -> Vec<(Change, String)> {
            let found = found.iter().map(|cause| problem(Kind::Upstream, cause));
            let past = Duration::from_secs(seconds);
            let now = (self.start + past, SystemTime::UNIX_EPOCH + past);
            let events = self.open.update(&[Kind::Upstream], found.collect(), now);
            let events = events.into_iter();
            events.map(|event| (event.event, event.since)).collect()
        }
    }

    fn looks() -> Looks {
        Looks {
            open: OpenProblems::default(),
            start: Instant::now(),
        }
    }

    fn at(second: &str) -> String {
        format!("1970-01-01T{second}Z")
    }

    #[tokio::test]
    async fn a_problem_is_told_once_and_so_is_its_end() {
        let mut looks = looks();
        assert_eq!(looks.at(1, &["a"]), [(Change::Problem, at("00:00:01"))]);
        assert_eq!(looks.at(6, &["a"]), []);
        assert_eq!(looks.at(9_000, &["a"]), []);
        assert_eq!(looks.at(9_005, &[]), [(Change::Over, at("00:00:01"))]);
        assert_eq!(looks.at(9_010, &[]), []);
    }

    #[tokio::test]
    async fn a_problem_that_comes_and_goes_is_told_once_an_hour() {
        let mut looks = looks();
        assert_eq!(looks.at(0, &["a"]), [(Change::Problem, at("00:00:00"))]);
        assert_eq!(looks.at(5, &[]), [(Change::Over, at("00:00:00"))]);
        // Neither it nor its end are told again within the hour.
        assert_eq!(looks.at(10, &["a"]), []);
        assert_eq!(looks.at(15, &[]), []);
        assert_eq!(looks.at(20, &["a"]), []);
        assert_eq!(looks.at(3_599, &["a"]), []);
        assert_eq!(looks.at(3_600, &["a"]), [(Change::Problem, at("00:00:20"))]);
    }

    #[tokio::test]
    async fn another_problem_is_told_beside_an_open_one() {
        let mut looks = looks();
        assert_eq!(looks.at(0, &["a"]).len(), 1);
        assert_eq!(
            looks.at(5, &["a", "b"]),
            [(Change::Problem, at("00:00:05"))]
        );
    }

    #[tokio::test]
    async fn a_look_at_other_kinds_ends_no_problem() {
        let mut looks = looks();
        assert_eq!(looks.at(0, &["a"]).len(), 1);
        let now = (looks.start, SystemTime::UNIX_EPOCH);
        let events = looks.open.update(&[Kind::Storage], Vec::new(), now);
        assert_eq!(events, []);
        assert_eq!(looks.at(5, &[]), [(Change::Over, at("00:00:00"))]);
    }
}
