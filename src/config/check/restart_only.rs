//! Settings that take effect only at a restart.

use crate::config::model::Config;
use crate::config::report::{Problem, Report};
use crate::config::toml::TomlTable;

/// Reports each changed setting that would not take effect in the proxy that runs with `running`.
pub(crate) fn check_restart_only(
    table: &TomlTable<'_>,
    config: &Config,
    running: &Config,
    report: &mut Report<'_>,
) {
    let has_other_socket =
        config.admin != running.admin && config.admin_path() != running.admin_path();
    for (key, has_changed) in [
        ("storage", config.storage != running.storage),
        ("admin", has_other_socket),
        ("user", config.user != running.user),
        ("metrics", config.metrics != running.metrics),
        ("log.format", config.log.format != running.log.format),
    ] {
        if has_changed {
            report_change(key, table, report);
        }
    }
}

fn report_change(key: &'static str, table: &TomlTable<'_>, report: &mut Report<'_>) {
    let value = match key.split_once('.') {
        None => table.value(key),
        Some((section, key)) => {
            let section = table.value(section).and_then(|value| value.table().ok());
            section.and_then(|section| section.value(key))
        }
    };
    match value {
        Some(value) => report.at(value.start(), Problem::RestartOnly(key)),
        None => report.whole_file(Problem::RestartOnlyGone(key)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Flags;
    use crate::config::load::ProxyfileText;

    const SITE: &str = "[sites]\n\"a.test\" = \"1\"\n";

    fn after(before: &str, text: &str) -> String {
        let path = Path::new("Proxyfile");
        let [before, text] = [before, text].map(|text| format!("{text}{SITE}"));
        let running = Config::from_proxyfile(path, &before, &Flags::default()).unwrap();
        let source = ProxyfileText {
            path,
            text: &text,
            checks_files: false,
        };
        let outcome = Config::load(source, &Flags::default(), Some(&running));
        outcome
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn a_changed_or_removed_setting_that_needs_a_restart_is_rejected() {
        let before = "storage = \"file:/data\"\nlog.format = \"json\"\n";
        assert_eq!(after(before, before), "");
        let problems = after(before, "storage = \"file:/other\"\nlog.level = \"debug\"\n");
        let lines: Vec<_> = problems.lines().collect();
        assert!(
            lines[0].starts_with("Proxyfile:1:11: `storage` cannot change"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("Proxyfile: `log.format` is no longer set"),
            "{lines:?}"
        );
    }
}
