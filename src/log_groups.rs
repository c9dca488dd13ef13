//! Groups of names that one cause holds up, so that the log has one line for each cause and not one for each name. Knows no room.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Time without another name of the same cause after which a line is due.
pub const QUIET: Duration = Duration::from_secs(2);
/// Longest time that a line waits for more names of its cause.
const LONGEST: Duration = Duration::from_secs(20);
/// Number of names that one line shows.
const SHOWN: usize = 3;
/// Maximum number of causes that wait.
const CAPACITY: usize = 256;

/// Groups of names whose lines wait, by their cause.
#[derive(Debug)]
pub struct LogGroups<K, E>(Mutex<HashMap<K, LogGroup<E>>>);

/// Names with the same cause, and what happened to the first of them.
#[derive(Debug)]
pub struct LogGroup<E> {
    begun: Instant,
    latest: Instant,
    number: usize,
    /// The first names.
    names: Vec<String>,
    first: E,
}

impl<K, E> Default for LogGroups<K, E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, E> LogGroups<K, E> {
    /// Adds a name to the group of its cause. Gives the event back as a group of its own if too many causes wait already. It
    /// is to be written at once.
    pub fn add(&self, cause: K, name: String, event: E) -> Option<(K, LogGroup<E>)> {
        let mut waiting = self.0.lock();
        if let Some(group) = waiting.get_mut(&cause) {
            group.add(name);
            return None;
        }
        let group = LogGroup::new(name, event);
        if waiting.len() >= CAPACITY {
            return Some((cause, group));
        }
        waiting.insert(cause, group);
        None
    }

    /// Takes the groups to which no name comes any more, or that have waited long.
    pub fn take_due(&self) -> Vec<(K, LogGroup<E>)> {
        let mut waiting = self.0.lock();
        waiting.extract_if(|_, group| group.is_due()).collect()
    }

    /// Takes all groups.
    pub fn take_all(&self) -> Vec<(K, LogGroup<E>)> {
        self.0.lock().drain().collect()
    }
}

impl<E> LogGroup<E> {
    /// A group of one name.
    pub fn new(name: String, event: E) -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            latest: now,
            number: 1,
            names: vec![name],
            first: event,
        }
    }

    fn add(&mut self, name: String) {
        self.latest = Instant::now();
        // The same name may fail again while its line waits.
        if !self.names.contains(&name) {
            self.number += 1;
            if self.names.len() < SHOWN {
                self.names.push(name);
            }
        }
    }

    fn is_due(&self) -> bool {
        self.latest.elapsed() >= QUIET || self.begun.elapsed() >= LONGEST
    }

    /// Number of names, if there are several.
    pub fn number(&self) -> Option<usize> {
        (self.number > 1).then_some(self.number)
    }

    /// Returns the first names, as one line shows them.
    pub fn names(&self) -> String {
        let more = if self.number > self.names.len() {
            ", …"
        } else {
            ""
        };
        format!("{}{more}", self.names.join(", "))
    }

    /// Event of the first name.
    pub fn first(&self) -> &E {
        &self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number and the names of each group that is due.
    fn due(groups: &LogGroups<&str, ()>) -> Vec<(Option<usize>, String)> {
        let due = groups.take_due().into_iter();
        due.map(|(_, group)| (group.number(), group.names()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn one_cause_of_many_names_is_one_group_with_their_number() {
        let groups = LogGroups::default();
        for number in 0..200 {
            groups.add("down", format!("n{number}"), ());
            groups.add("down", "n0".to_owned(), ());
            tokio::time::advance(Duration::from_millis(50)).await;
        }
        groups.add("gone", "a".to_owned(), ());
        assert_eq!(due(&groups), [], "names still come");
        tokio::time::advance(QUIET).await;
        let mut told = due(&groups);
        told.sort();
        let many = (Some(200), "n0, n1, n2, …".to_owned());
        assert_eq!(told, [(None, "a".to_owned()), many]);
        assert_eq!(due(&groups), [], "a line is written once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cause_that_never_ends_is_told_all_the_same() {
        let groups = LogGroups::default();
        let mut told = 0;
        for number in 0..1000 {
            groups.add("full", format!("n{number}"), ());
            tokio::time::advance(Duration::from_secs(1)).await;
            told += due(&groups).len();
        }
        assert_eq!(told, 50);
    }

    #[tokio::test(start_paused = true)]
    async fn causes_beyond_the_limit_are_given_back() {
        let groups = LogGroups::default();
        for cause in 0..CAPACITY {
            assert!(groups.add(cause, "a".to_owned(), ()).is_none());
        }
        let (cause, group) = groups.add(CAPACITY, "b".to_owned(), ()).unwrap();
        assert_eq!((cause, group.names().as_str()), (CAPACITY, "b"));
        assert!(groups.add(0, "b".to_owned(), ()).is_none());
        assert_eq!(groups.take_all().len(), CAPACITY);
    }
}
