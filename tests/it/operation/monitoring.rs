//! The alert rules and the dashboard in `docker/monitoring`.

use std::collections::BTreeSet;
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
