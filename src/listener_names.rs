//! The names of listeners, as small numbers that connections and sites carry. Knows no room.

use std::iter;

/// Name of the listeners that are given none.
pub const DEFAULT_LISTENER: &str = "default";

/// Number of a listener's name. Listeners with the same name have the same number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListenerId(u32);

/// Set of the listeners on which a site is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSet {
    /// Kept apart, so that the check of most requests is one comparison. `None` for the empty set.
    first: Option<ListenerId>,
    others: Box<[ListenerId]>,
}

impl ListenerSet {
    /// `true` if the site is served on this listener.
    #[must_use]
    pub fn contains(&self, listener: ListenerId) -> bool {
        self.first == Some(listener) || self.others.contains(&listener)
    }

    /// Returns the listeners in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = ListenerId> {
        self.first.into_iter().chain(self.others.iter().copied())
    }
}

impl Default for ListenerSet {
    /// Returns the set of the listeners without a name of their own.
    fn default() -> Self {
        Self {
            first: Some(ListenerId::default()),
            others: Box::default(),
        }
    }
}

/// All names that listeners have had since the start of the process. A connection outlives reloads, so the number of a name
/// never changes, and is never given to another name.
#[derive(Clone, Debug)]
pub struct ListenerNames {
    names: Vec<String>,
}

impl Default for ListenerNames {
    fn default() -> Self {
        Self {
            names: vec![DEFAULT_LISTENER.to_owned()],
        }
    }
}

impl ListenerNames {
    /// Returns these names and those in `names`.
    #[must_use]
    pub fn with<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut all = self.clone();
        for name in names {
            if all.id(name).is_none() {
                all.names.push(name.to_owned());
            }
        }
        all
    }

    /// Returns the number of a name. `None` if no listener has ever had it.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<ListenerId> {
        let index = self.names.iter().position(|known| known == name)?;
        u32::try_from(index).ok().map(ListenerId)
    }

    /// Returns the set of the listeners with these names. Unknown names are left out.
    #[must_use]
    pub fn set(&self, names: &[String]) -> ListenerSet {
        let mut ids = names.iter().filter_map(|name| self.id(name));
        ListenerSet {
            first: ids.next(),
            others: ids.collect(),
        }
    }

    /// `true` if no listener has ever had a name of its own.
    #[must_use]
    pub fn are_all_default(&self) -> bool {
        self.names.len() == 1
    }

    /// Returns each number with its name.
    pub fn iter(&self) -> impl Iterator<Item = (ListenerId, &str)> {
        let ids = iter::successors(Some(0), |id| Some(id + 1)).map(ListenerId);
        ids.zip(self.names.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_set_has_the_listeners_with_its_names_and_no_others() {
        let names = ListenerNames::default().with(["default", "lan", "vpn"]);
        let [default, lan, vpn] = ["default", "lan", "vpn"].map(|name| names.id(name).unwrap());
        assert_eq!(default, ListenerId::default());
        for (set, expected) in [
            (ListenerSet::default(), [true, false, false]),
            (names.set(&owned(&["lan"])), [false, true, false]),
            (
                names.set(&owned(&["vpn", "lan", "default"])),
                [true, true, true],
            ),
            (names.set(&owned(&["gone"])), [false, false, false]),
            (names.set(&[]), [false, false, false]),
        ] {
            assert_eq!([default, lan, vpn].map(|id| set.contains(id)), expected);
        }
    }

    #[test]
    fn a_number_stays_with_its_name_when_names_come_and_go() {
        let first = ListenerNames::default().with(["lan"]);
        let second = first.with(["dmz", "default"]);
        let third = second.with(["vpn", "lan"]);
        assert_eq!(first.id("lan"), third.id("lan"));
        assert_eq!(second.id("dmz"), third.id("dmz"));
        let numbers: Vec<_> = third.iter().map(|(id, name)| (id.0, name)).collect();
        assert_eq!(
            numbers,
            [(0, "default"), (1, "lan"), (2, "dmz"), (3, "vpn")]
        );
        assert!(ListenerNames::default().with(["default"]).are_all_default());
        assert!(!third.are_all_default());
    }
}
