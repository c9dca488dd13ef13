//! Refusals of the last hour by reason.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::traffic_history::MINUTES;

/// Refusals for one reason, as the page shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct RefusalRow {
    /// Number since the start of the process.
    count: u64,
    /// Number in the last hour.
    last_hour: u64,
    /// Time of the last one in seconds since 1970. It is known to a few seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<u64>,
}

#[derive(Debug, Default)]
struct ReasonHistory {
    /// Totals at the beginning of the running minute, and at the last look.
    totals: [u64; 2],
    last_at: Option<u64>,
    /// Minutes that have ended, the oldest first.
    ended: VecDeque<u64>,
}

/// Refusals since the first look, by reason.
#[derive(Debug, Default)]
pub(super) struct RefusalHistory {
    reasons: BTreeMap<&'static str, ReasonHistory>,
    is_begun: bool,
}

impl RefusalHistory {
    /// Notes the totals of all reasons above zero. `now` is the time in seconds since 1970.
    pub(super) fn look(&mut self, totals: impl IntoIterator<Item = (&'static str, u64)>, now: u64) {
        for (reason, total) in totals {
            let history = self.reasons.entry(reason).or_default();
            if !self.is_begun {
                // What was counted before the first look belongs to no minute.
                history.totals = [total, total];
            }
            if history.totals[1] != total {
                history.last_at = Some(now);
                history.totals[1] = total;
            }
        }
        self.is_begun = true;
    }

    /// Ends the running minute, as it was at the last look.
    pub(super) fn end_minute(&mut self) {
        for history in self.reasons.values_mut() {
            let [began, now] = history.totals;
            if history.ended.len() == MINUTES {
                history.ended.pop_front();
            }
            history.ended.push_back(now.saturating_sub(began));
            history.totals[0] = now;
        }
    }

    /// Returns a row for each reason.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'static str, RefusalRow)> {
        self.reasons.iter().map(|(reason, history)| {
            let [began, now] = history.totals;
            let running = now.saturating_sub(began);
            let row = RefusalRow {
                count: now,
                last_hour: history.ended.iter().sum::<u64>() + running,
                last_at: history.last_at,
            };
            (*reason, row)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_the_refusals_of_its_minutes_and_of_the_running_one() {
        let mut history = RefusalHistory::default();
        let row = |history: &RefusalHistory| history.rows().next().unwrap().1;
        history.look([("idle", 5)], 1_000);
        assert_eq!(
            row(&history),
            RefusalRow {
                count: 5,
                last_hour: 0,
                last_at: None
            }
        );
        history.look([("idle", 8)], 1_030);
        history.end_minute();
        history.look([("idle", 9)], 1_060);
        history.look([("idle", 9)], 1_070);
        assert_eq!(
            row(&history),
            RefusalRow {
                count: 9,
                last_hour: 4,
                last_at: Some(1_060)
            }
        );
        for _ in 0..MINUTES {
            history.end_minute();
        }
        assert_eq!(row(&history).last_hour, 1);
        history.end_minute();
        assert_eq!(row(&history).last_hour, 0);
    }
}
