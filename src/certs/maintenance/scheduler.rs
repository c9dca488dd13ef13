//! The renewal loop: a queue of names by the time at which each needs attention.

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

/// Limits each sleep, so that the loop soon notices a suspend or a change of the clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Limits how many names are worked on at once.
const PARALLEL: usize = 16;
/// A name that takes longer than this is waiting for its CA, and frees its slot for others.
const SLOW: Duration = Duration::from_secs(1);
/// Limits how many names may wait for their CA without holding a slot.
const SLOW_PARALLEL: usize = 256;

/// Owns the queue of names. Others send it reminders.
#[derive(Debug)]
pub(crate) struct Scheduler {
    manager: CertManager,
    inbox: mpsc::UnboundedReceiver<Reminder>,
    queue: Queue,
    slots: Arc<Semaphore>,
    slow_slots: Arc<Semaphore>,
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
            slots: Arc::new(Semaphore::new(PARALLEL)),
            slow_slots: Arc::new(Semaphore::new(SLOW_PARALLEL)),
        }
    }

    /// Runs until the process stops.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        loop {
            let now = self.clock.now();
            self.queue.check_clock(now);
            let pause = self.queue.time_to_next(now).min(LONGEST_SLEEP);
            tokio::select! {
                () = shutdown.requested() => return,
                reminder = self.inbox.recv() => match reminder {
                    Some(reminder) => self.queue.apply(reminder),
                    None => return,
                },
                () = tokio::time::sleep(pause) => self.start_due(&shutdown).await,
            }
        }
    }

    async fn start_due(&mut self, shutdown: &Shutdown) {
        while let Some((subject, purpose)) = self.queue.pop(self.clock.now()) {
            let slot = tokio::select! {
                () = shutdown.requested() => return,
                slot = Arc::clone(&self.slots).acquire_owned() => slot,
            };
            let manager = self.manager.clone();
            let slow_slots = Arc::clone(&self.slow_slots);
            self.tasks.spawn(async move {
                let mut work = pin!(manager.maintain(subject, purpose));
                if timeout(SLOW, &mut work).await.is_ok() {
                    return;
                }
                let slow_slot = slow_slots.try_acquire();
                let slot = Some(slot).filter(|_| slow_slot.is_err());
                work.await;
                drop((slot, slow_slot));
            });
        }
    }
}

/// Names by time, each at most once. Both collections share the text of a name, and a time takes one word, so that a name
/// costs little more memory than its text.
#[derive(Debug, Default)]
struct Queue {
    by_time: BTreeSet<(DueTime, HostPattern)>,
    by_name: HashMap<HostPattern, DueTime>,
    last_seen: Option<SystemTime>,
}

/// A Unix time in seconds, shifted left by one. The lowest bit is set if the CA is asked then ([`Purpose::CheckAri`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DueTime(u64);

impl DueTime {
    fn new(at: SystemTime, purpose: Purpose) -> Self {
        Self(unix(at) << 1 | u64::from(purpose == Purpose::CheckAri))
    }

    fn at(self) -> SystemTime {
        from_unix(self.0 >> 1)
    }

    fn purpose(self) -> Purpose {
        if self.0 & 1 == 0 {
            Purpose::Renew
        } else {
            Purpose::CheckAri
        }
    }
}

impl Queue {
    fn apply(&mut self, reminder: Reminder) {
        match reminder {
            Reminder::Set(due) => self.set(due),
            Reminder::SetIfAbsent(due) if !self.by_name.contains_key(&due.subject) => self.set(due),
            Reminder::SetIfAbsent(_) => (),
        }
    }

    fn set(&mut self, due: Due) {
        let time = DueTime::new(due.at, due.purpose);
        if let Some(previous) = self.by_name.insert(due.subject.clone(), time) {
            self.by_time.remove(&(previous, due.subject.clone()));
        }
        self.by_time.insert((time, due.subject));
    }

    /// Makes every name due now if the clock was set back: a wrong clock set their times.
    fn check_clock(&mut self, now: SystemTime) {
        let last_seen = self.last_seen.replace(now);
        if last_seen.is_some_and(|last_seen| last_seen > now + LONGEST_SLEEP) {
            for subject in self.by_name.keys().cloned().collect::<Vec<_>>() {
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
        first.map_or(Duration::MAX, |(time, _)| {
            time.at().duration_since(now).unwrap_or_default()
        })
    }

    fn pop(&mut self, now: SystemTime) -> Option<(HostPattern, Purpose)> {
        if self.by_time.first()?.0.at() > now {
            return None;
        }
        let (time, subject) = self.by_time.pop_first()?;
        self.by_name.remove(&subject);
        Some((subject, time.purpose()))
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
    fn the_earliest_name_comes_first_and_each_only_at_its_latest_time() {
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
        queue.check_clock(now);
        let at = now + day;
        queue.set(due(subject.clone(), at));
        queue.check_clock(now);
        assert_eq!(queue.pop(now), None);
        queue.check_clock(now - 50 * day);
        assert_eq!(queue.pop(now - 50 * day), Some((subject, Purpose::Renew)));
    }
}
