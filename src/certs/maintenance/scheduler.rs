//! The renewal loop: which name needs attention when.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::certs::clock::{Clock, from_unix, unix};
use crate::certs::issuance::Purpose;
use crate::certs::manager::{CertManager, Due, Reminder};
use crate::name::HostPattern;
use crate::tasks::{Shutdown, Tasks};

/// The longest sleep: after a suspend or a change of the clock the loop notices within this.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How many names are seen to at once.
const PARALLEL: usize = 16;
/// What takes longer than this waits for its CA, and lets others pass.
const LONG: Duration = Duration::from_secs(1);
/// How many names may wait for their CA while others pass.
const PASSED: usize = 256;

/// Owns the queue of names; others send it messages.
#[derive(Debug)]
pub(crate) struct Scheduler {
    manager: CertManager,
    inbox: mpsc::UnboundedReceiver<Reminder>,
    queue: Queue,
    turns: Arc<Semaphore>,
    passed: Arc<Semaphore>,
    clock: Clock,
    tasks: Tasks,
}

impl Scheduler {
    pub(crate) fn new(manager: CertManager, inbox: mpsc::UnboundedReceiver<Reminder>) -> Self {
        Self {
            clock: manager.clock(),
            tasks: manager.tasks().clone(),
            manager,
            inbox,
            queue: Queue::default(),
            turns: Arc::new(Semaphore::new(PARALLEL)),
            passed: Arc::new(Semaphore::new(PASSED)),
        }
    }

    /// Runs until the process stops.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        loop {
            let now = self.clock.now();
            self.queue.watch_clock(now);
            let nap = self.queue.time_to_next(now).min(LONGEST_SLEEP);
            tokio::select! {
                () = shutdown.requested() => return,
                reminder = self.inbox.recv() => match reminder {
                    Some(reminder) => self.queue.apply(reminder),
                    None => return,
                },
                () = tokio::time::sleep(nap) => self.start_due(&shutdown).await,
            }
        }
    }

    async fn start_due(&mut self, shutdown: &Shutdown) {
        while let Some((subject, purpose)) = self.queue.pop(self.clock.now()) {
            let turn = tokio::select! {
                () = shutdown.requested() => return,
                turn = Arc::clone(&self.turns).acquire_owned() => turn,
            };
            let manager = self.manager.clone();
            let passed = Arc::clone(&self.passed);
            self.tasks.spawn(async move {
                let mut work = pin!(manager.maintain(subject, purpose));
                if timeout(LONG, &mut work).await.is_ok() {
                    return;
                }
                let place = passed.try_acquire();
                let turn = Some(turn).filter(|_| place.is_err());
                work.await;
                drop((turn, place));
            });
        }
    }
}

/// Names by time, each at most once. Both halves share the text of a name, and a time is one word,
/// so that a name costs little more than its text.
#[derive(Debug, Default)]
struct Queue {
    by_time: BTreeSet<(Slot, HostPattern)>,
    slots: HashMap<HostPattern, Slot>,
    seen: Option<SystemTime>,
}

/// A second, and in its lowest bit whether the CA is to be asked then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot(u64);

impl Slot {
    fn new(at: SystemTime, purpose: Purpose) -> Self {
        Self(unix(at) << 1 | u64::from(purpose == Purpose::CheckAri))
    }

    fn at(self) -> SystemTime {
        from_unix(self.0 >> 1)
    }

    fn purpose(self) -> Purpose {
        match self.0 & 1 {
            0 => Purpose::Renew,
            _ => Purpose::CheckAri,
        }
    }
}

impl Queue {
    fn apply(&mut self, reminder: Reminder) {
        match reminder {
            Reminder::Set(due) => self.set(due),
            Reminder::SetIfAbsent(due) if !self.slots.contains_key(&due.subject) => self.set(due),
            Reminder::SetIfAbsent(_) => (),
        }
    }

    fn set(&mut self, due: Due) {
        let slot = Slot::new(due.at, due.purpose);
        if let Some(former) = self.slots.insert(due.subject.clone(), slot) {
            self.by_time.remove(&(former, due.subject.clone()));
        }
        self.by_time.insert((slot, due.subject));
    }

    /// Makes every name due when the clock was set back: the times were made by a wrong one.
    fn watch_clock(&mut self, now: SystemTime) {
        let seen = self.seen.replace(now);
        if seen.is_some_and(|seen| seen > now + LONGEST_SLEEP) {
            for subject in self.slots.keys().cloned().collect::<Vec<_>>() {
                self.set(Due {
                    subject,
                    at: now,
                    purpose: Purpose::Renew,
                });
            }
        }
    }

    fn time_to_next(&self, now: SystemTime) -> Duration {
        let first = self.by_time.first();
        first.map_or(Duration::MAX, |(slot, _)| {
            slot.at().duration_since(now).unwrap_or_default()
        })
    }

    fn pop(&mut self, now: SystemTime) -> Option<(HostPattern, Purpose)> {
        if self.by_time.first()?.0.at() > now {
            return None;
        }
        let (slot, subject) = self.by_time.pop_first()?;
        self.slots.remove(&subject);
        Some((subject, slot.purpose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(subject: HostPattern, at: SystemTime) -> Due {
        Due {
            subject,
            at,
            purpose: Purpose::Renew,
        }
    }

    #[test]
    fn the_earliest_name_comes_first_and_each_only_at_its_last_time() {
        let start = SystemTime::UNIX_EPOCH;
        let at = |seconds| start + Duration::from_secs(seconds);
        let name = |text| HostPattern::parse(text).unwrap();
        let mut queue = Queue::default();
        for (text, seconds) in [("a.example", 30), ("b.example", 20), ("a.example", 10)] {
            queue.apply(Reminder::Set(due(name(text), at(seconds))));
        }
        assert_eq!(queue.time_to_next(start), Duration::from_secs(10));
        queue.apply(Reminder::SetIfAbsent(due(name("b.example"), at(1))));
        let ask = Due {
            purpose: Purpose::CheckAri,
            ..due(name("c.example"), at(30))
        };
        queue.apply(Reminder::SetIfAbsent(ask));
        assert_eq!(queue.pop(at(9)), None);
        for (text, purpose) in [
            ("a.example", Purpose::Renew),
            ("b.example", Purpose::Renew),
            ("c.example", Purpose::CheckAri),
        ] {
            assert_eq!(queue.pop(at(40)), Some((name(text), purpose)));
        }
        assert_eq!(queue.pop(at(40)), None);
        assert_eq!(queue.time_to_next(at(40)), Duration::MAX);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_every_name_due() {
        let day = Duration::from_secs(24 * 3600);
        let now = SystemTime::UNIX_EPOCH + 100 * day;
        let subject = HostPattern::parse("a.example").unwrap();
        let mut queue = Queue::default();
        queue.watch_clock(now);
        let at = now + day;
        queue.set(due(subject.clone(), at));
        queue.watch_clock(now);
        assert_eq!(queue.pop(now), None);
        queue.watch_clock(now - 50 * day);
        assert_eq!(queue.pop(now - 50 * day), Some((subject, Purpose::Renew)));
    }
}
