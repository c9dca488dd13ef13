//! Reads how the backends of a site or route share its requests: `balance`, `health`, and the options of each address in
//! `upstream`.

use std::path::Path;

use crate::config::fields::{self, TableReader, read_value};
use crate::config::report::{BalancingProblem, Problem, Report};
use crate::config::toml::{TomlTable, TomlValue};
use crate::upstream::{BalanceMethod, BalanceOptions, Share};

/// Reads all three. An `upstream` of its own inherits none of them.
pub(crate) fn read(
    reader: TableReader<'_, '_>,
    balancing: &mut BalanceOptions,
    report: &mut Report<'_>,
) {
    let TableReader { table, .. } = reader;
    if let Some(upstream) = table.value("upstream") {
        read_line(upstream, balancing, report);
    }
    let method = table.read("balance", report, |value| parse_method(value.string()?));
    balancing.method = method.unwrap_or(balancing.method);
    if table.has("health") {
        balancing.health = reader
            .read_key("health", fields::health(), report)
            .flatten();
    }
}

/// Reads the options of each address in the value of `upstream`.
pub(crate) fn read_line(
    upstream: TomlValue<'_>,
    balancing: &mut BalanceOptions,
    report: &mut Report<'_>,
) {
    balancing.method = BalanceMethod::default();
    balancing.health = None;
    let values = upstream.elements().into_iter();
    let shares: Vec<_> = values.map(|value| read_share(value, report)).collect();
    if !shares.is_empty() && shares.iter().all(|share| share.weight == 0) {
        report.at(upstream.start(), BalancingProblem::NoWeight.into());
    }
    let is_plain = shares.iter().all(|share| *share == Share::default());
    balancing.shares = if is_plain { Vec::new() } else { shares };
}

fn read_share(value: TomlValue<'_>, report: &mut Report<'_>) -> Share {
    let mut share = Share::default();
    if value.is_table() {
        read_value(&value, Path::new(""), report, |reader, report| {
            reader.read(&fields::share(), &mut share, report)
        });
    }
    share
}

/// Reports `balance` and `health`, for a table without `upstream`.
pub(crate) fn reject_without_upstream(table: &TomlTable<'_>, report: &mut Report<'_>) {
    for key in ["balance", "health"] {
        if let Some(value) = table.value(key) {
            report.at(value.start(), BalancingProblem::NoUpstream(key).into());
        }
    }
}

fn parse_method(text: &str) -> Result<BalanceMethod, Problem> {
    let invalid = |error| BalancingProblem::Method(text.to_owned(), error);
    Ok(text.parse().map_err(invalid)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, Flags, SiteAction};
    use crate::upstream::HealthOptions;

    fn options(site: &str) -> crate::upstream::Options {
        let text = format!(
            "storage = \"file:/data\"\n[upstreams]\nqueue = 7\n[sites]\n\"a.example.org\" = {site}"
        );
        let config = Config::from_proxyfile(Path::new("Proxyfile"), &text, &Flags::default());
        match config.unwrap().sites.remove(0).routes.remove(0).action {
            SiteAction::Upstream { options, .. } => options,
            _ => panic!("{site}"),
        }
    }

    #[test]
    fn balancing_options_of_a_site_are_read() {
        let balancing = options(
            r#"{ upstream = ["a:1", { address = "b:1", weight = 3, max-connections = 5 }], balance = "least-conn",
                health = { path = "/up?x=1", expect = 204, interval = "1s", timeout = "2s", rise = 4, fall = 5, host = "h:1" },
                upstream-options = { max-connections = 9, max-fails = 0, slow-start = "0s", retry-budget = "50%", eject-status = "5xx" } }"#,
        )
        .balancing;
        assert_eq!(balancing.method, BalanceMethod::LeastConn);
        let shares = [0, 1, 2].map(|index| balancing.share(index));
        assert_eq!(shares.map(|share| share.weight), [1, 3, 1]);
        assert_eq!(shares[1].max_connections, Some(5));
        let health = balancing.health.unwrap();
        assert_eq!((health.rise, health.fall), (4, 5));
        assert_eq!(health.expect, "204".parse().unwrap());
        assert_eq!(balancing.max_connections, Some(9));
        assert_eq!((balancing.queue, balancing.max_fails), (7, 0));
        assert_eq!(balancing.slow_start, Duration::ZERO);
        assert_eq!(balancing.retry_percent, 50);
        assert_eq!(balancing.eject_status, Some("500-599".parse().unwrap()));
    }

    #[test]
    fn a_route_with_its_own_upstream_does_not_inherit_balancing() {
        let text = r#"storage = "file:/data"
            [sites."a.example.org"]
            upstream = [{ address = "a:1", weight = 2 }, "b:1"]
            balance = "cookie"
            health = "/up"
            upstream-options = { queue = 7 }
            routes = { "/same" = { rewrite = "/x" }, "/line" = ["c:1", { address = "d:1", weight = 5 }], "/table" = { upstream = "e:1", health = "/ok" } }
        "#;
        let config = Config::from_proxyfile(Path::new("Proxyfile"), text, &Flags::default());
        let routes = config.unwrap().sites.remove(0).routes.into_iter();
        let balancing: Vec<_> = routes
            .filter_map(|route| match route.action {
                SiteAction::Upstream { options, .. } => Some(options.balancing),
                _ => None,
            })
            .collect();
        let [own, same, line, table] = balancing.as_slice() else {
            panic!("{balancing:?}");
        };
        assert_eq!(same, own);
        let random = BalanceMethod::RandomTwo;
        assert_eq!((line.method, line.share(1).weight), (random, 5));
        assert_eq!(line.health, None);
        assert_eq!((table.method, table.share(0).weight), (random, 1));
        assert_eq!(table.health, Some(HealthOptions::new("/ok".to_owned())));
        assert_eq!([line.queue, table.queue], [7, 7]);
    }

    #[test]
    fn short_forms_are_read() {
        let line = options(r#"["a:1", { address = "b:1", weight = 2 }]"#).balancing;
        assert_eq!(line.share(1).weight, 2);
        let health = options(r#"{ upstream = "a:1", health = "/up" }"#).balancing;
        assert_eq!(health.health, Some(HealthOptions::new("/up".to_owned())));
        let plain = options(r#"["a:1", { address = "b:1" }]"#).balancing;
        assert_eq!(plain.shares, []);
    }
}
