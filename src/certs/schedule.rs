//! The renewal loop: which name needs attention when.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Semaphore, mpsc};

use super::CertManager;
use crate::name::HostPattern;
use crate::tasks::{Shutdown, Tasks};

/// The longest sleep: after a suspend or a change of the clock the loop notices within this.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How many names are seen to at once.
const PARALLEL: usize = 16;

/// A name and when it needs attention next.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) subject: HostPattern,
    pub(super) at: SystemTime,
}

/// Owns the queue of names; others send it messages.
#[derive(Debug)]
pub(super) struct Scheduler {
    manager: CertManager,
    inbox: mpsc::UnboundedReceiver<Due>,
    queue: Queue,
    turns: Arc<Semaphore>,
    tasks: Tasks,
}

impl Scheduler {
    pub(super) fn new(manager: CertManager, inbox: mpsc::UnboundedReceiver<Due>) -> Self {
        let turns = Arc::new(Semaphore::new(PARALLEL));
        let tasks = manager.tasks().clone();
        Self {
            manager,
            inbox,
            queue: Queue::default(),
            turns,
            tasks,
        }
    }

    /// Runs until the process stops.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        loop {
            let now = SystemTime::now();
            self.queue.watch_clock(now);
            let nap = self.queue.time_to_next(now).min(LONGEST_SLEEP);
            tokio::select! {
                () = shutdown.requested() => return,
                due = self.inbox.recv() => match due {
                    Some(due) => self.queue.set(due),
                    None => return,
                },
                () = tokio::time::sleep(nap) => self.start_due(&shutdown).await,
            }
        }
    }

    async fn start_due(&mut self, shutdown: &Shutdown) {
        while let Some(subject) = self.queue.pop(SystemTime::now()) {
            let turn = tokio::select! {
                () = shutdown.requested() => return,
                turn = Arc::clone(&self.turns).acquire_owned() => turn,
            };
            let manager = self.manager.clone();
            self.tasks.spawn(async move {
                manager.maintain(subject).await;
                drop(turn);
            });
        }
    }
}

/// Names by time, each at most once.
#[derive(Debug, Default)]
struct Queue {
    by_time: BTreeSet<(SystemTime, HostPattern)>,
    times: HashMap<HostPattern, SystemTime>,
    seen: Option<SystemTime>,
}

impl Queue {
    fn set(&mut self, due: Due) {
        let Due { subject, at } = due;
        if let Some(former) = self.times.insert(subject.clone(), at) {
            self.by_time.remove(&(former, subject.clone()));
        }
        self.by_time.insert((at, subject));
    }

    /// Makes every name due when the clock was set back: the times were made by a wrong one.
    fn watch_clock(&mut self, now: SystemTime) {
        let seen = self.seen.replace(now);
        if seen.is_some_and(|seen| seen > now + LONGEST_SLEEP) {
            for subject in self.times.keys().cloned().collect::<Vec<_>>() {
                self.set(Due { subject, at: now });
            }
        }
    }

    fn time_to_next(&self, now: SystemTime) -> Duration {
        let first = self.by_time.first();
        first.map_or(Duration::MAX, |(at, _)| {
            at.duration_since(now).unwrap_or_default()
        })
    }

    fn pop(&mut self, now: SystemTime) -> Option<HostPattern> {
        if self.by_time.first()?.0 > now {
            return None;
        }
        let (_, subject) = self.by_time.pop_first()?;
        self.times.remove(&subject);
        Some(subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_name_comes_first_and_each_only_at_its_last_time() {
        let start = SystemTime::UNIX_EPOCH;
        let at = |seconds| start + Duration::from_secs(seconds);
        let name = |text| HostPattern::parse(text).unwrap();
        let mut queue = Queue::default();
        for (text, seconds) in [("a.example", 30), ("b.example", 20), ("a.example", 10)] {
            queue.set(Due {
                subject: name(text),
                at: at(seconds),
            });
        }
        assert_eq!(queue.time_to_next(start), Duration::from_secs(10));
        assert_eq!(queue.pop(at(9)), None);
        assert_eq!(queue.pop(at(40)), Some(name("a.example")));
        assert_eq!(queue.pop(at(40)), Some(name("b.example")));
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
        queue.set(Due {
            subject: subject.clone(),
            at,
        });
        queue.watch_clock(now);
        assert_eq!(queue.pop(now), None);
        queue.watch_clock(now - 50 * day);
        assert_eq!(queue.pop(now - 50 * day), Some(subject));
    }
}
