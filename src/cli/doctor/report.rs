//! The report of the checks for people, and the exit code.

use std::io::{self, Write};

use crate::admin::{CheckReport, CheckStatus};

/// Returns the exit code that tells the worst status, if it is not 0.
pub(super) fn exit_code(worst: CheckStatus) -> Option<u8> {
    match worst {
        CheckStatus::Ok => None,
        CheckStatus::Fail => Some(1),
        // 2 stands for bad usage, as with every command.
        CheckStatus::Warn => Some(3),
    }
}

/// Writes one line for each check: those about the machine, then those of each name below it, then how many are wrong.
pub(super) fn write_report(report: &CheckReport, out: &mut dyn Write) -> io::Result<()> {
    let widths = report.checks.iter().map(|check| check.check.len());
    let width = widths.max().unwrap_or_default();
    let mut name = None;
    for check in &report.checks {
        if check.name != name {
            name.clone_from(&check.name);
            writeln!(out, "\n{}", name.as_deref().unwrap_or("others"))?;
        }
        let (status, sentence) = (word(check.status), &check.sentence);
        writeln!(out, "{status:<4}  {:<width$}  {sentence}", check.check)?;
    }
    writeln!(out, "\n{}", summary(report))
}

fn word(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Ok => "ok",
        CheckStatus::Warn => "warn",
        CheckStatus::Fail => "fail",
    }
}

fn summary(report: &CheckReport) -> String {
    let count = |status, word: &str| {
        let count = report
            .checks
            .iter()
            .filter(|check| check.status == status)
            .count();
        match count {
            0 => None,
            1 => Some(format!("1 {word}")),
            count => Some(format!("{count} {word}s")),
        }
    };
    let counts = [
        count(CheckStatus::Fail, "failure"),
        count(CheckStatus::Warn, "warning"),
    ];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    if counts.is_empty() {
        "all is well".to_owned()
    } else {
        counts.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::CheckResult;

    fn written(checks: Vec<CheckResult>) -> (String, Option<u8>) {
        let report = CheckReport { checks };
        let mut out = Vec::new();
        write_report(&report, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), exit_code(report.worst()))
    }

    #[test]
    fn each_check_has_a_line_below_its_name() {
        let about = |result: CheckResult| CheckResult {
            name: Some("www.example.org".to_owned()),
            ..result
        };
        let expected = "\
ok    storage   /data can be written

www.example.org
fail  dns       it does not exist; add it
warn  port 443  not reachable; open it

1 failure and 1 warning
";
        let checks = vec![
            CheckResult::ok("storage", "/data can be written"),
            about(CheckResult::fail("dns", "it does not exist; add it")),
            about(CheckResult::warn("port 443", "not reachable; open it")),
        ];
        assert_eq!(written(checks), (expected.to_owned(), Some(1)));
    }

    #[test]
    fn the_exit_code_tells_the_worst() {
        let ok = || CheckResult::ok("storage", "fine");
        assert_eq!(written(vec![ok()]).1, None);
        assert_eq!(
            written(vec![ok(), CheckResult::warn("clock", "late")]).1,
            Some(3)
        );
        assert!(written(vec![ok()]).0.ends_with("\nall is well\n"));
    }
}
