//! The alert rules and the dashboard in `docker/monitoring`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::promtool;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn folder() -> PathBuf {
    Path::new(ROOT).join("docker/monitoring")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Names of metrics in a text, without the endings of histograms.
pub(super) fn metric_names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = text.split(|c| !is_part(c));
    let words = words.filter(|word| word.starts_with("proxy_"));
    let plain = |word: &str| {
        let mut endings = ["_bucket", "_sum", "_count"].iter();
        let histogram = endings.find_map(|ending| word.strip_suffix(ending));
        histogram.unwrap_or(word).to_owned()
    };
    words.map(plain).collect()
}

/// Names of metrics that the page of the operations describes.
pub(super) fn documented() -> BTreeSet<String> {
    metric_names(&text(&Path::new(ROOT).join("docs/operations.md")))
}

/// Prometheus' expressions in a dashboard.
fn expressions(json: &Value, found: &mut Vec<String>) {
    match json {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if key == "expr" => found.push(text.clone()),
                    value => expressions(value, found),
                }
            }
        }
        Value::Array(array) => array.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn the_alert_rules_are_valid_and_pass_their_tests() {
    let rules = promtool::complaints(&folder(), &["check", "rules", "alerts.yml"], "");
    assert_eq!(rules, None);
    let tests = promtool::complaints(&folder(), &["test", "rules", "alerts_test.yml"], "");
    assert_eq!(tests, None);
}

#[test]
fn every_alert_has_a_test() {
    let (rules, tests) = (
        text(&folder().join("alerts.yml")),
        text(&folder().join("alerts_test.yml")),
    );
    let alerts: Vec<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert}");
    }
}

#[test]
fn rules_and_dashboard_use_metrics_that_exist() {
    let documented = documented();
    let dashboard: Value = serde_json::from_str(&text(&folder().join("dashboard.json"))).unwrap();
    let mut used = Vec::new();
    expressions(&dashboard, &mut used);
    assert!(used.len() > 30, "{used:?}");
    used.push(text(&folder().join("alerts.yml")));
    for name in used.iter().flat_map(|text| metric_names(text)) {
        assert!(documented.contains(&name), "{name}");
    }
}

/// Labels of each metric that the page of the operations describes.
fn documented_labels() -> BTreeMap<String, BTreeSet<String>> {
    let page = text(&Path::new(ROOT).join("docs/operations.md"));
    let spans = page.split('`').filter(|span| span.starts_with("proxy_"));
    let described = spans.map(|span| {
        let (name, labels) = span.split_once('{').unwrap_or((span, ""));
        let labels = labels.trim_end_matches('}').split(',').map(str::to_owned);
        (name.to_owned(), labels.collect())
    });
    described.collect()
}

/// Labels that an expression selects or groups by, or that a legend shows.
fn used_labels(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let mut used = BTreeSet::new();
    for (at, _) in text.match_indices(['=', '!']) {
        let before = text[..at].rsplit(|c| !is_part(c)).next().unwrap();
        used.extend((!before.is_empty()).then(|| before.to_owned()));
    }
    for (start, end) in [("by (", ')'), ("{{", '}')] {
        for part in text.split(start).skip(1) {
            let list = part.split(end).next().unwrap().split(',');
            used.extend(list.map(|label| label.trim().to_owned()));
        }
    }
    used
}

#[test]
fn the_panels_use_labels_that_their_metrics_have_and_do_not_overlap() {
    let documented = documented_labels();
    let dashboard: Value = serde_json::from_str(&text(&folder().join("dashboard.json"))).unwrap();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(!title.is_empty(), "{panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(
            w > 0 && h > 0 && x + w <= 24,
            "{title} is wider than the grid"
        );
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{title} covers another panel");
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            // Prometheus adds the first two, and histograms have the third.
            let mut known = BTreeSet::from(["instance", "job", "le"].map(str::to_owned));
            for name in metric_names(expression) {
                known.extend(documented.get(&name).cloned().unwrap_or_default());
            }
            let used = used_labels(&format!("{expression} {legend}"));
            let unknown: Vec<_> = used.difference(&known).collect();
            assert!(unknown.is_empty(), "{title}: {unknown:?} in {expression}");
        }
    }
}

#[test]
fn the_expressions_of_the_dashboard_are_valid() {
    let dashboard: Value = serde_json::from_str(&text(&folder().join("dashboard.json"))).unwrap();
    let mut used = Vec::new();
    expressions(&dashboard, &mut used);
    let rules = used.iter().enumerate().map(|(index, expression)| {
        let expression = expression.replace("$__rate_interval", "5m");
        serde_json::json!({ "record": format!("panel:{index}"), "expr": expression })
    });
    let rules: Vec<_> = rules.collect();
    let dir = tempfile::tempdir().unwrap();
    let groups = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    // JSON is YAML too.
    std::fs::write(dir.path().join("rules.yml"), groups.to_string()).unwrap();
    let complaints = promtool::complaints(dir.path(), &["check", "rules", "rules.yml"], "");
    assert_eq!(complaints, None);
}
