//! The content of the page at one moment, and the messages that bring it to browsers.

use serde::Serialize;

use super::page_rows::{PageRows, json, object};
use super::recent_events::RecentEvents;
use super::refusal_history::RefusalHistory;
use super::traffic_history::{Minute, TrafficHistory};
use crate::admin::named_upstream::upstreams;
use crate::admin::stats::Stats;
use crate::admin::status::{
    BackendLine, CertificateStatus, ListedNames, SiteTraffic, Status, UpstreamTraffic,
};
use crate::figures::WindowTotals;
use crate::proxy::Router;

/// Content of the page at one moment, in rows of JSON.
#[derive(Clone, Debug, Default)]
pub(super) struct PageView {
    /// The process, and the running minute of all sites together.
    process: String,
    sites: PageRows,
    names: PageRows,
    names_left_out: usize,
    upstreams: PageRows,
    /// Times of the last health checks of each upstream that is checked. They are apart from its row, which would be sent with
    /// each check otherwise.
    checks: PageRows,
    refusals: PageRows,
    /// The minutes of each site that have ended, and those of all sites together.
    site_minutes: PageRows,
    minutes: String,
    events: String,
}

/// The process, as the page shows it.
#[derive(Serialize)]
struct ProcessRow {
    #[serde(flatten)]
    status: Status,
    minute: Minute,
}

/// A site. Lengths of time are seconds.
#[derive(Serialize)]
struct SiteRow {
    #[serde(skip_serializing_if = "is_zero")]
    requests: u64,
    #[serde(skip_serializing_if = "is_zero")]
    in_flight: u64,
    per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
    #[serde(skip_serializing_if = "is_zero")]
    received_bytes: u64,
    #[serde(skip_serializing_if = "is_zero")]
    sent_bytes: u64,
    #[serde(skip_serializing_if = "Minute::is_empty")]
    minute: Minute,
}

#[derive(Serialize)]
struct UpstreamRow<'u> {
    queued: usize,
    backends: Vec<BackendRow<'u>>,
}

/// A backend. Lengths of time are seconds.
#[derive(Serialize)]
struct BackendRow<'u> {
    address: &'u str,
    state: &'u str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'u str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in: Option<u64>,
    in_flight: usize,
    per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95: Option<f64>,
}

/// The last hour, which only the page knows.
#[derive(Debug, Default)]
pub(super) struct Histories {
    traffic: TrafficHistory,
    refusals: RefusalHistory,
    events: RecentEvents,
}

impl PageView {
    /// Looks at sites, backends, refusals and the process at a moment in seconds since 1970. The names are those of this view,
    /// or `names` if they were looked at too. Takes a while if there are many sites.
    pub(super) fn look(
        &self,
        stats: &Stats,
        names: Option<ListedNames>,
        histories: &mut Histories,
        now: u64,
    ) -> Self {
        let router = stats.current_router.snapshot();
        let (sites, minute) = site_rows(&router, &mut histories.traffic);
        let traffic = upstreams(&router).into_iter().map(UpstreamTraffic::of);
        let traffic: Vec<_> = traffic.collect();
        histories.events.note_upstreams(&traffic, now);
        let reloads = [true, false].map(|is_ok| stats.reloads.with_result(is_ok));
        histories.events.note_reloads(reloads, now);
        let totals = stats.refusals.by_reason().into_iter();
        let totals = totals.map(|(reason, count)| (reason.word(), count));
        histories.refusals.look(totals, now);
        let mut view = Self {
            process: process_row(stats, minute),
            upstreams: upstream_rows(&traffic),
            checks: check_rows(&traffic),
            refusals: refusal_rows(&histories.refusals),
            sites,
            ..self.clone()
        };
        if let Some(listed) = names {
            histories.events.note_names(&listed.names, now);
            view.names = name_rows(&listed.names);
            view.names_left_out = listed.left_out;
        }
        view.events = json(&histories.events.kept());
        view
    }

    /// `true` if nothing was looked at yet.
    pub(super) fn is_empty(&self) -> bool {
        self.process.is_empty()
    }

    /// Ends the running minute as it is in this view, which must be looked at again.
    pub(super) fn end_minute(&mut self, histories: &mut Histories) {
        histories.traffic.retain(|name| self.sites.has(name));
        histories.traffic.end_minute();
        histories.refusals.end_minute();
        self.site_minutes = PageRows::default();
        for (site, minutes) in histories.traffic.ended() {
            self.site_minutes.insert(site, &minutes);
        }
        self.minutes = json(&histories.traffic.ended_of_all());
    }

    /// Returns all that a browser needs to show the page.
    pub(super) fn whole(&self) -> String {
        let left_out = json(&self.names_left_out);
        let minutes = if self.minutes.is_empty() {
            "[]"
        } else {
            &self.minutes
        };
        object([
            ("process", self.process.as_str()),
            ("sites", &self.sites.whole()),
            ("names", &self.names.whole()),
            ("names_left_out", &left_out),
            ("upstreams", &self.upstreams.whole()),
            ("checks", &self.checks.whole()),
            ("refusals", &self.refusals.whole()),
            ("site_minutes", &self.site_minutes.whole()),
            ("minutes", minutes),
            ("events", &self.events),
        ])
    }

    /// Returns what differs from the earlier view, and the events since then. If the view `ends_minute`, browsers count its
    /// running minutes among those that have ended.
    pub(super) fn changes(
        &self,
        earlier: &Self,
        histories: &mut Histories,
        ends_minute: bool,
    ) -> String {
        let left_out = json(&self.names_left_out);
        let new_events = histories.events.take_new();
        let mut fields = vec![("process", self.process.clone())];
        for (name, rows, before) in [
            ("sites", &self.sites, &earlier.sites),
            ("names", &self.names, &earlier.names),
            ("upstreams", &self.upstreams, &earlier.upstreams),
            ("checks", &self.checks, &earlier.checks),
            ("refusals", &self.refusals, &earlier.refusals),
        ] {
            fields.extend(rows.changes(before).map(|changes| (name, changes)));
        }
        if self.names_left_out != earlier.names_left_out {
            fields.push(("names_left_out", left_out));
        }
        if !new_events.is_empty() {
            fields.push(("events", json(&new_events)));
        }
        if ends_minute {
            fields.push(("ends_minute", "true".to_owned()));
        }
        object(fields.iter().map(|(name, value)| (*name, value.as_str())))
    }
}

/// Returns the rows of all sites, and the running minute of all together.
fn site_rows(router: &Router, history: &mut TrafficHistory) -> (PageRows, Minute) {
    let mut rows = PageRows::default();
    let mut look = history.look();
    for site in router.sites() {
        let totals = site.figures.totals();
        let traffic = SiteTraffic::with_totals(site, &totals);
        let minute = look.note(&traffic.site, &site.figures, WindowTotals::from(&totals));
        let row = SiteRow {
            requests: traffic.requests,
            in_flight: traffic.in_flight,
            per_second: traffic.per_second,
            error_share: traffic.error_share.map(rounded),
            p50: traffic.p50,
            p95: traffic.p95,
            p99: traffic.p99,
            received_bytes: traffic.received_bytes,
            sent_bytes: traffic.sent_bytes,
            minute,
        };
        rows.insert(&traffic.site, &row);
    }
    (rows, look.finish())
}

fn process_row(stats: &Stats, minute: Minute) -> String {
    let mut status = Status::of_process(stats);
    // These have rows of their own.
    status.refusals.clear();
    json(&ProcessRow { status, minute })
}

fn upstream_rows(upstreams: &[UpstreamTraffic]) -> PageRows {
    let mut rows = PageRows::default();
    for upstream in upstreams {
        let backends = upstream.backends.iter().map(BackendRow::of).collect();
        let row = UpstreamRow {
            queued: upstream.queued,
            backends,
        };
        rows.insert(&upstream.name, &row);
    }
    rows
}

/// Returns the time of the last health check of each backend, in the order of the backends.
fn check_rows(upstreams: &[UpstreamTraffic]) -> PageRows {
    let mut rows = PageRows::default();
    for upstream in upstreams {
        let checks = upstream.backends.iter();
        let checks = checks.map(|backend| backend.last_check.as_ref().map(|check| &check.at));
        let checks: Vec<_> = checks.collect();
        if checks.iter().any(Option::is_some) {
            rows.insert(&upstream.name, &checks);
        }
    }
    rows
}

impl<'u> BackendRow<'u> {
    fn of(backend: &'u BackendLine) -> Self {
        Self {
            address: &backend.address,
            state: &backend.state,
            reason: backend.reason.as_deref(),
            retry_in: backend.retry_in,
            in_flight: backend.in_flight,
            per_second: backend.per_second,
            error_share: backend.error_share.map(rounded),
            p50: backend.p50,
            p95: backend.p95,
        }
    }
}

fn name_rows(names: &[CertificateStatus]) -> PageRows {
    let mut rows = PageRows::default();
    for name in names {
        rows.insert(&name.name, name);
    }
    rows
}

fn refusal_rows(history: &RefusalHistory) -> PageRows {
    let mut rows = PageRows::default();
    for (reason, row) in history.rows() {
        rows.insert(reason, &row);
    }
    rows
}

/// Rounds a share to hundredths of a percent.
fn rounded(share: f64) -> f64 {
    (share * 1e4).round() / 1e4
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::name::HostPattern;
    use crate::proxy::{Handler, Redirect, Site};

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[tokio::test]
    async fn a_minute_that_ends_is_told_once_and_is_in_the_whole_view_once() {
        // Given a site that gets a request in its first minute.
        let moved = Redirect::parse("https://elsewhere.example.org").unwrap();
        let pattern = HostPattern::parse("a.test").unwrap();
        let router = Router::new([Site::new(pattern, Handler::Redirect(moved))]);
        let mut histories = Histories::default();
        let look = |histories: &mut Histories| PageView {
            sites: site_rows(&router, &mut histories.traffic).0,
            process: "{}".to_owned(),
            events: "[]".to_owned(),
            ..PageView::default()
        };
        let first = look(&mut histories);
        drop(router.sites()[0].figures.begin(0));

        // When the minute ends.
        let mut last = look(&mut histories);
        let told = parsed(&last.changes(&first, &mut histories, true));
        last.end_minute(&mut histories);
        let next = PageView {
            sites: look(&mut histories).sites,
            ..last.clone()
        };

        // Then browsers get its last state with the word that it has ended, and a state without it.
        assert_eq!(told["sites"]["a.test"]["minute"], json!([1, 0, 0]));
        assert_eq!(told["ends_minute"], true);
        let told = parsed(&next.changes(&last, &mut histories, false));
        assert_eq!(told["sites"]["a.test"]["requests"], 1);
        assert_eq!(told["sites"]["a.test"]["minute"], Value::Null);
        assert_eq!(told["ends_minute"], Value::Null);
        // Then one that comes later gets it among those that have ended.
        let whole = parsed(&next.whole());
        assert_eq!(whole["site_minutes"], json!({ "a.test": [[1, 0, 0]] }));
        assert_eq!(whole["minutes"], json!([[1, 0, 0]]));
        assert_eq!(whole["sites"]["a.test"]["minute"], Value::Null);
        // Nothing more is told while nothing happens.
        let same = look(&mut histories);
        let told = parsed(&same.changes(&next, &mut histories, false));
        assert_eq!(told, json!({ "process": {} }));
    }
}
