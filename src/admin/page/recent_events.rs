//! Recent events: backends and certificates that have changed their state, and reloads.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use crate::admin::status::{BackendLine, CertificateStatus, UpstreamTraffic};

/// Number of events that are kept.
const KEPT: usize = 100;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RecentEvent {
    /// Time in seconds since 1970. It is known to a few seconds.
    at: u64,
    /// `true` if the operator may have to act.
    is_bad: bool,
    /// The name, the backend or the process.
    subject: String,
    /// One sentence about the event.
    sentence: String,
}

/// The last events, and the states by which the next ones are found.
#[derive(Debug, Default)]
pub(super) struct RecentEvents {
    kept: VecDeque<RecentEvent>,
    /// Number of events at the end that are not told yet.
    untold: usize,
    names: HashMap<String, State>,
    /// By upstream and address.
    backends: HashMap<[String; 2], State>,
    /// Reloads that have taken effect, and others.
    reloads: Option<[u64; 2]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    word: String,
    is_bad: bool,
}

impl RecentEvents {
    /// Compares the names with those of the last look.
    pub(super) fn note_names(&mut self, names: &[CertificateStatus], now: u64) {
        let mut states = HashMap::with_capacity(names.len());
        for name in names {
            if let ("ordering", Some(before)) = (name.state.as_str(), self.names.get(&name.name)) {
                // The end of the attempt is worth an event, if it is another one.
                states.insert(name.name.clone(), before.clone());
                continue;
            }
            let state = State {
                word: name.state.clone(),
                is_bad: name.needs_attention && name.state != "ordering",
            };
            if is_event(self.names.get(&name.name), &state) {
                self.push(now, state.is_bad, &name.name, name.standing.clone());
            }
            states.insert(name.name.clone(), state);
        }
        self.names = states;
    }

    /// Compares the backends with those of the last look.
    pub(super) fn note_upstreams(&mut self, upstreams: &[UpstreamTraffic], now: u64) {
        let mut states = HashMap::with_capacity(self.backends.len());
        for upstream in upstreams {
            for backend in &upstream.backends {
                let key = [upstream.name.clone(), backend.address.clone()];
                let state = State {
                    word: backend.state.clone(),
                    is_bad: is_out(backend),
                };
                if is_event(self.backends.get(&key), &state) {
                    let subject = format!("{} of {}", backend.address, upstream.name);
                    self.push(now, state.is_bad, &subject, backend_sentence(backend));
                }
                states.insert(key, state);
            }
        }
        self.backends = states;
    }

    /// Compares the numbers of reloads, those that have taken effect and the others, with those of the last look.
    pub(super) fn note_reloads(&mut self, reloads: [u64; 2], now: u64) {
        let [before_ok, before_failed] = self.reloads.replace(reloads).unwrap_or(reloads);
        if reloads[0] > before_ok {
            let sentence = "the configuration was reloaded".to_owned();
            self.push(now, false, "proxy", sentence);
        }
        if reloads[1] > before_failed {
            let sentence = "a reload was refused, and the previous configuration stays in effect; see the log for the reasons";
            self.push(now, true, "proxy", sentence.to_owned());
        }
    }

    fn push(&mut self, at: u64, is_bad: bool, subject: &str, sentence: String) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(RecentEvent {
            at,
            is_bad,
            subject: subject.to_owned(),
            sentence,
        });
        self.untold = (self.untold + 1).min(KEPT);
    }

    /// Returns the events that are kept, the oldest first.
    pub(super) fn kept(&self) -> impl Serialize + '_ {
        &self.kept
    }

    /// Returns the events since the last call.
    pub(super) fn take_new(&mut self) -> Vec<RecentEvent> {
        let told = self.kept.len() - self.untold;
        self.untold = 0;
        self.kept.iter().skip(told).cloned().collect()
    }
}

/// `true` if a state is worth an event: it has changed, or it was bad when it was first seen.
fn is_event(before: Option<&State>, now: &State) -> bool {
    match before {
        Some(before) => before != now && (before.is_bad || now.is_bad),
        None => now.is_bad,
    }
}

fn is_out(backend: &BackendLine) -> bool {
    matches!(backend.state.as_str(), "down" | "ejected")
}

fn backend_sentence(backend: &BackendLine) -> String {
    let state = match backend.state.as_str() {
        "slow-start" => "up again, with few requests at first",
        "up" => "up again",
        "ejected" => "ejected",
        _ => "down",
    };
    match &backend.reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(state: &str, needs_attention: bool) -> CertificateStatus {
        CertificateStatus {
            name: "a.test".to_owned(),
            state: state.to_owned(),
            standing: format!("it is {state}"),
            needs_attention,
            ..CertificateStatus::default()
        }
    }

    fn backend(state: &str, reason: Option<&str>) -> Vec<UpstreamTraffic> {
        let backend = BackendLine {
            address: "10.0.0.1:1".to_owned(),
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
            ..BackendLine::default()
        };
        vec![UpstreamTraffic {
            name: "a.test/".to_owned(),
            backends: vec![backend],
            ..UpstreamTraffic::default()
        }]
    }

    fn told(events: &mut RecentEvents) -> Vec<(bool, String)> {
        let new = events.take_new().into_iter();
        new.map(|event| {
            (
                event.is_bad,
                format!("{}: {}", event.subject, event.sentence),
            )
        })
        .collect()
    }

    #[test]
    fn a_name_is_told_when_it_becomes_bad_and_when_that_is_over() {
        let mut events = RecentEvents::default();
        events.note_names(&[name("ordering", true)], 1);
        events.note_names(&[name("served", false)], 2);
        assert_eq!(told(&mut events), []);
        events.note_names(&[name("backing-off", true)], 3);
        events.note_names(&[name("ordering", true)], 4);
        events.note_names(&[name("backing-off", true)], 4);
        events.note_names(&[name("served", false)], 5);
        let expected = [
            (true, "a.test: it is backing-off".to_owned()),
            (false, "a.test: it is served".to_owned()),
        ];
        assert_eq!(told(&mut events), expected);
        assert_eq!(told(&mut events), []);
    }

    #[test]
    fn a_backend_is_told_with_the_reason_and_so_is_a_reload() {
        let mut events = RecentEvents::default();
        events.note_reloads([3, 1], 1);
        events.note_upstreams(&backend("up", None), 1);
        assert_eq!(told(&mut events), []);
        events.note_upstreams(&backend("down", Some("it got status 500")), 2);
        events.note_upstreams(&backend("slow-start", None), 3);
        events.note_upstreams(&backend("up", None), 4);
        events.note_reloads([4, 1], 5);
        let expected = [
            (
                true,
                "10.0.0.1:1 of a.test/: down: it got status 500".to_owned(),
            ),
            (
                false,
                "10.0.0.1:1 of a.test/: up again, with few requests at first".to_owned(),
            ),
            (false, "proxy: the configuration was reloaded".to_owned()),
        ];
        assert_eq!(told(&mut events), expected);
    }

    #[test]
    fn only_the_last_events_are_kept() {
        let mut events = RecentEvents::default();
        for round in 0..300 {
            events.note_reloads([0, round], round);
        }
        assert_eq!(events.take_new().len(), KEPT);
        let kept = serde_json::to_value(events.kept()).unwrap();
        assert_eq!(kept[KEPT - 1]["at"], 299);
    }
}
