//! Requests of the last hour, minute by minute: of each site, and of all sites together.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::figures::{Outcome, SiteFigures, WindowTotals};

/// Length of the history.
pub(super) const MINUTES: usize = 60;

/// Counts of one minute. Serializes as a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Minute {
    pub(super) requests: u32,
    /// Responses with status 5xx.
    pub(super) errors: u32,
    /// Duration that 95 % of the requests do not exceed, in microseconds.
    pub(super) p95: u32,
}

impl Minute {
    fn of(counted: &WindowTotals) -> Self {
        let p95 = counted.times.quantile(0.95);
        Self {
            requests: saturated(counted.requests()),
            errors: saturated(counted.ended[Outcome::ServerError as usize]),
            p95: p95.map_or(0, |p95| saturated(micros(p95))),
        }
    }

    /// `true` if there were no requests.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Serialize for Minute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.requests, self.errors, self.p95].serialize(serializer)
    }
}

/// Minutes that have ended, the oldest first. Does not begin with an empty one.
#[derive(Debug, Default)]
struct EndedMinutes(VecDeque<Minute>);

impl EndedMinutes {
    fn push(&mut self, minute: Minute) {
        if self.0.len() == MINUTES {
            self.0.pop_front();
        }
        self.0.push_back(minute);
        while self.0.front().is_some_and(Minute::is_empty) {
            self.0.pop_front();
        }
    }
}

/// History of one site.
#[derive(Debug)]
struct SiteHistory {
    figures: Arc<SiteFigures>,
    /// Totals at the beginning of the running minute, and at the last look.
    totals: [WindowTotals; 2],
    ended: EndedMinutes,
}

/// Histories of all sites with requests. They are of the time since the first look.
#[derive(Debug, Default)]
pub(super) struct TrafficHistory {
    sites: HashMap<String, SiteHistory>,
    all: EndedMinutes,
    /// Sum of the running minutes of all sites at the last look.
    running: WindowTotals,
    is_begun: bool,
}

impl TrafficHistory {
    /// Begins a look at all sites.
    pub(super) fn look(&mut self) -> TrafficLook<'_> {
        self.running = WindowTotals::default();
        TrafficLook { history: self }
    }

    /// Ends the running minute, as it was at the last look.
    pub(super) fn end_minute(&mut self) {
        self.all.push(Minute::of(&self.running));
        for site in self.sites.values_mut() {
            let [began, now] = site.totals;
            site.ended.push(Minute::of(&now.since(&began)));
            site.totals[0] = now;
        }
    }

    /// Forgets sites that are not among these.
    pub(super) fn retain(&mut self, is_site: impl Fn(&str) -> bool) {
        self.sites.retain(|name, _| is_site(name));
    }

    /// Returns the minutes of each site that have ended, in no order.
    pub(super) fn ended(&self) -> impl Iterator<Item = (&str, impl Serialize + '_)> {
        let sites = self.sites.iter();
        let sites = sites.filter(|(_, site)| !site.ended.0.is_empty());
        sites.map(|(name, site)| (name.as_str(), &site.ended.0))
    }

    /// Returns the minutes of all sites together that have ended.
    pub(super) fn ended_of_all(&self) -> impl Serialize + '_ {
        &self.all.0
    }
}

/// A look at all sites.
pub(super) struct TrafficLook<'h> {
    history: &'h mut TrafficHistory,
}

impl TrafficLook<'_> {
    /// Notes the totals of a site. Returns its running minute.
    pub(super) fn note(
        &mut self,
        name: &str,
        figures: &Arc<SiteFigures>,
        totals: WindowTotals,
    ) -> Minute {
        let history = &mut *self.history;
        let known = history.sites.get_mut(name);
        // A site that was removed and added again counts from zero.
        let known = known.filter(|site| Arc::ptr_eq(&site.figures, figures));
        let counted = match known {
            Some(site) => {
                site.totals[1] = totals;
                totals.since(&site.totals[0])
            }
            None if totals == WindowTotals::default() => return Minute::default(),
            None => {
                // What was counted before the first look belongs to no minute.
                let began = if history.is_begun {
                    WindowTotals::default()
                } else {
                    totals
                };
                let site = SiteHistory {
                    figures: Arc::clone(figures),
                    totals: [began, totals],
                    ended: EndedMinutes::default(),
                };
                history.sites.insert(name.to_owned(), site);
                totals.since(&began)
            }
        };
        history.running.add(&counted);
        Minute::of(&counted)
    }

    /// Ends the look. Returns the running minute of all sites together.
    pub(super) fn finish(self) -> Minute {
        self.history.is_begun = true;
        Minute::of(&self.history.running)
    }
}

/// Returns a time in microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    time.as_micros().try_into().unwrap_or(u64::MAX)
}

fn saturated(count: u64) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(requests: u64, errors: u64) -> WindowTotals {
        let mut totals = WindowTotals::default();
        totals.ended[Outcome::Success as usize] = requests - errors;
        totals.ended[Outcome::ServerError as usize] = errors;
        totals
    }

    fn json(history: &TrafficHistory, site: &str) -> String {
        let mut ended = history.ended();
        let found = ended.find(|(name, _)| *name == site);
        found.map_or_else(String::new, |(_, it)| serde_json::to_string(&it).unwrap())
    }

    /// Looks at one site, and returns its running minute.
    fn look(history: &mut TrafficHistory, figures: &Arc<SiteFigures>, now: WindowTotals) -> Minute {
        let mut look = history.look();
        let minute = look.note("a.test", figures, now);
        assert_eq!(look.finish(), minute);
        minute
    }

    #[tokio::test]
    async fn each_minute_has_what_was_counted_in_it_and_the_oldest_are_forgotten() {
        let (mut history, figures) = (TrafficHistory::default(), Arc::default());
        // Counted before the page was.
        assert_eq!(look(&mut history, &figures, totals(100, 7)).requests, 0);
        for minute in 1..=70 {
            look(&mut history, &figures, totals(100 + minute * 2 - 1, 7));
            let now = look(&mut history, &figures, totals(100 + minute * 2, 7));
            assert_eq!((now.requests, now.errors), (2, 0));
            history.end_minute();
        }
        let two = vec!["[2,0,0]"; MINUTES].join(",");
        assert_eq!(json(&history, "a.test"), format!("[{two}]"));
        let all = serde_json::to_string(&history.ended_of_all()).unwrap();
        assert_eq!(all, format!("[{two}]"));
        look(&mut history, &figures, totals(250, 10));
        history.end_minute();
        assert!(json(&history, "a.test").ends_with("[2,0,0],[10,3,0]]"));
        for _ in 0..MINUTES {
            history.end_minute();
        }
        assert_eq!(json(&history, "a.test"), "");
    }

    #[tokio::test]
    async fn a_site_without_requests_needs_no_memory_and_a_new_one_counts_from_zero() {
        let mut history = TrafficHistory::default();
        let figures = Arc::default();
        look(&mut history, &figures, totals(0, 0));
        assert_eq!(history.sites.capacity(), 0);
        assert_eq!(look(&mut history, &figures, totals(3, 0)).requests, 3);
        // The site of the same name after it was removed and added again.
        let other = Arc::default();
        assert_eq!(look(&mut history, &other, totals(2, 0)).requests, 2);
        history.retain(|name| name != "a.test");
        assert!(history.sites.is_empty());
    }
}
