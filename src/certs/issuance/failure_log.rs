//! The log lines about names whose certificates fail. One cause that holds many names up is one line with their number. Knows
//! no storage and no back-off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tracing::{error, warn};

use crate::log_groups::{LogGroup, LogGroups};
use crate::name::HostPattern;
use crate::tasks::Shutdown;

/// Time between two looks at the lines that wait.
const INTERVAL: Duration = Duration::from_millis(500);
/// Least length of a word that may be a random name of a record.
const RANDOM_LENGTH: usize = 8;

/// Event that kept a name from its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Event {
    /// An attempt failed.
    NotObtained,
    /// One issuer failed, and the next one is asked.
    IssuerFailed,
    /// A check found a likely problem before an order.
    MayFail,
    /// The staging CA could not try the order.
    NotTried,
    /// Storage cannot be written, so nothing is ordered.
    NothingStored,
    /// The failures before this attempt cannot be read.
    AttemptsUnreadable,
    /// The failure of this attempt cannot be stored.
    AttemptNotStored,
}

/// The failure of one name. Fields that an event does not have are `None`.
#[derive(Debug, Default)]
pub(super) struct NameFailure {
    /// Why, in one sentence.
    pub(super) sentence: String,
    pub(super) issuer: Option<String>,
    pub(super) next: Option<String>,
    pub(super) attempt: Option<u32>,
    pub(super) retry_in: Option<Duration>,
    pub(super) permanent: Option<bool>,
    pub(super) served_until: Option<String>,
}

/// Collects the failures of names by their cause, and writes a line for each cause.
#[derive(Debug, Default)]
pub(crate) struct FailureLog {
    groups: LogGroups<Cause, NameFailure>,
    /// `true` while [`run`](Self::run) writes the lines that wait. Without it, each name is written at once.
    is_running: AtomicBool,
}

/// Cause that the failures of a group share.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Cause {
    event: Event,
    /// The sentence without what is different for each name.
    words: String,
}

impl FailureLog {
    /// Writes the lines when they are due, until the process stops.
    pub(crate) async fn run(self: Arc<Self>, shutdown: Shutdown) {
        self.is_running.store(true, Ordering::Relaxed);
        let writes = async {
            loop {
                sleep(INTERVAL).await;
                write_all(self.groups.take_due());
            }
        };
        tokio::select! {
            () = shutdown.requested() => (),
            () = writes => (),
        }
        self.is_running.store(false, Ordering::Relaxed);
        write_all(self.groups.take_all());
    }

    /// Records what happened to a name.
    pub(super) fn note(&self, event: Event, subject: &HostPattern, failure: NameFailure) {
        let name = subject.to_string();
        if !self.is_running.load(Ordering::Relaxed) {
            write(event, &LogGroup::new(name, failure));
            return;
        }
        let cause = Cause {
            event,
            words: common_words(&failure.sentence, subject),
        };
        write_all(self.groups.add(cause, name, failure));
    }
}

fn write_all(groups: impl IntoIterator<Item = (Cause, LogGroup<NameFailure>)>) {
    for (cause, group) in groups {
        write(cause.event, &group);
    }
}

fn write(event: Event, group: &LogGroup<NameFailure>) {
    let (names, number) = (group.names(), group.number());
    let NameFailure {
        sentence,
        issuer,
        next,
        attempt,
        retry_in,
        permanent,
        served_until,
    } = group.first();
    let (issuer, next) = (issuer.as_deref(), next.as_deref());
    // A time of one name says nothing about the others.
    let single = number.is_none();
    let attempt = attempt.filter(|_| single);
    let served_until = served_until.as_deref().filter(|_| single);
    let retry_in = retry_in.map(|time| Duration::from_secs(time.as_secs()));
    let retry_in = retry_in.filter(|_| single).map(humantime::format_duration);
    let retry_in = retry_in.map(tracing::field::display);
    match event {
        Event::NotObtained => warn!(
            number, %names, attempt, retry_in, permanent, served_until, error = %sentence,
            "certificate not obtained"
        ),
        Event::IssuerFailed => warn!(
            number, %names, issuer, next, error = %sentence,
            "issuer failed, the next one is tried"
        ),
        Event::MayFail => {
            warn!(number, %names, issuer, reason = %sentence, "an order may fail");
        }
        Event::NotTried => warn!(
            number, %names, issuer, error = %sentence,
            "staging CA cannot try the order; placing the real one"
        ),
        Event::NothingStored => error!(
            number, %names, error = %sentence,
            "no certificate is ordered: nothing can be stored"
        ),
        Event::AttemptsUnreadable => {
            error!(number, %names, error = %sentence, "failed attempts cannot be read");
        }
        Event::AttemptNotStored => error!(
            number, %names, error = %sentence,
            "failed attempt cannot be stored, and is remembered in memory only"
        ),
    }
}

/// Returns a sentence without the name, and without words that differ from attempt to attempt: times and the random names of
/// records.
pub(crate) fn common_words(sentence: &str, subject: &HostPattern) -> String {
    let name = subject.to_string();
    let name = name.strip_prefix("*.").unwrap_or(&name);
    let sentence = sentence.replace(name, "NAME");
    let words = sentence.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| !is_varying(word)).collect()
}

fn is_varying(word: &str) -> bool {
    let word = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let is_hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_time = word.ends_with(['s', 'm', 'h', 'd'])
        && word[..word.len() - 1]
            .bytes()
            .all(|byte| byte.is_ascii_digit());
    has_digit && (is_time || is_hex && word.len() >= RANDOM_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_groups::QUIET;

    fn name(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    fn failure(sentence: &str) -> NameFailure {
        NameFailure {
            sentence: sentence.to_owned(),
            ..NameFailure::default()
        }
    }

    /// The number and the names of each group that is due.
    fn due(log: &FailureLog) -> Vec<(Option<usize>, String)> {
        let due = log.groups.take_due().into_iter();
        due.map(|(_, group)| (group.number(), group.names()))
            .collect()
    }

    fn running() -> FailureLog {
        FailureLog {
            is_running: AtomicBool::new(true),
            ..FailureLog::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_cause_of_many_names_is_one_line_with_their_number() {
        let log = running();
        for number in 0..200 {
            let text = format!("n{number}.example.org");
            let sentence = format!("the addresses of {text} cannot be looked up: no answer");
            log.note(Event::NotObtained, &name(&text), failure(&sentence));
            // The same name again is not another one.
            log.note(
                Event::NotObtained,
                &name("n0.example.org"),
                failure(&sentence.replace(&text, "n0.example.org")),
            );
            tokio::time::advance(Duration::from_millis(50)).await;
        }
        assert_eq!(due(&log), [], "names still come");
        tokio::time::advance(QUIET).await;
        let shown = "n0.example.org, n1.example.org, n2.example.org, …";
        assert_eq!(due(&log), [(Some(200), shown.to_owned())]);
        assert_eq!(due(&log), [], "a line is written once");
    }

    #[tokio::test(start_paused = true)]
    async fn causes_that_differ_have_lines_of_their_own() {
        let log = running();
        log.note(
            Event::NotObtained,
            &name("a.example.org"),
            failure("status 500"),
        );
        log.note(
            Event::NotObtained,
            &name("b.example.org"),
            failure("status 403"),
        );
        log.note(
            Event::MayFail,
            &name("b.example.org"),
            failure("status 403"),
        );
        tokio::time::advance(QUIET).await;
        let mut names: Vec<_> = due(&log).into_iter().map(|(_, names)| names).collect();
        names.sort();
        assert_eq!(names, ["a.example.org", "b.example.org", "b.example.org"]);
    }

    #[test]
    fn names_times_and_random_words_are_no_part_of_the_cause() {
        for (one, other) in [
            (
                ("a.example.org", "a.example.org has no address"),
                ("*.b.example.org", "b.example.org has no address"),
            ),
            (
                (
                    "a.example.org",
                    "/data/probe/00c0ffee00c0ffee cannot be written",
                ),
                (
                    "b.example.org",
                    "/data/probe/5eed5eed5eed5eed cannot be written",
                ),
            ),
            (
                ("a.example.org", "the CA allows the next attempt in 1m 4s"),
                ("b.example.org", "the CA allows the next attempt in 1m 5s"),
            ),
        ] {
            let words = |(subject, sentence): (&str, &str)| common_words(sentence, &name(subject));
            assert_eq!(words(one), words(other));
        }
        let address = |text: &str| common_words(text, &name("a.example.org"));
        assert_ne!(address("leads to 10.0.0.1"), address("leads to 10.0.0.2"));
    }
}
