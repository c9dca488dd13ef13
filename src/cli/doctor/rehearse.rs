//! `proxy rehearse`: has a running proxy order certificates at staging CAs, or orders them without one.

use std::ffi::OsString;
use std::io::{self, Write};

use super::report::exit_code;
use crate::admin::{CheckReport, CheckStatus, Client, RehearsalCa, RehearsalRequest};
use crate::app;
use crate::cli::certs::{Error, TargetFlags, wait_for};
use crate::cli::failure::Failure;
use crate::cli::source::given_path;

/// Order certificates at staging CAs, throw them away, and show which orders work.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Rehearse {
    /// Names to order [default: all names of the configuration]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// ACME directory to order at [default: the staging directory of each CA]
    #[arg(long, value_name = "URL")]
    acme_directory: Option<String>,
    /// PEM file with an extra root certificate for HTTPS requests to that directory
    #[arg(long, value_name = "FILE", requires = "acme_directory")]
    acme_root: Option<OsString>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetFlags,
}

impl Rehearse {
    pub(in crate::cli) fn execute(self, out: &mut dyn Write) -> Result<(), Failure> {
        let mut report = CheckReport::default();
        let root = given_path(self.acme_root);
        // A running proxy may have another working directory.
        let root = root.map(|root| std::path::absolute(&root).unwrap_or(root));
        let request = RehearsalRequest {
            names: self.names,
            ca: self
                .acme_directory
                .map(|directory| RehearsalCa { directory, root }),
        };
        wait_for(async {
            let config = self.target.load()?;
            report = match Client::find(&config.admin_path()).await? {
                Some(client) => client.rehearse(&request).await?,
                None if config.sites.is_empty() => return Err(Error::NoSites),
                None => app::rehearse_standalone(&config, request).await?,
            };
            Ok(())
        })?;
        if self.json {
            let text = serde_json::to_string_pretty(&report).map_err(Error::Json)?;
            writeln!(out, "{text}")?;
        } else {
            write_table(&report, out)?;
        }
        exit_code(report.worst()).map_or(Ok(()), |code| Err(Failure::Told(code)))
    }
}

/// Writes a row for each name.
fn write_table(report: &CheckReport, out: &mut dyn Write) -> io::Result<()> {
    let rows = || {
        report.checks.iter().map(|check| {
            let name = check.name.as_deref().unwrap_or(&check.check);
            (name, result(check.status), check.sentence.as_str())
        })
    };
    let width = rows()
        .map(|(name, ..)| name.len())
        .max()
        .unwrap_or_default()
        .max(4);
    writeln!(out, "{:<width$}  RESULT  REASON", "NAME")?;
    for (name, result, sentence) in rows() {
        writeln!(out, "{name:<width$}  {result:<6}  {sentence}")?;
    }
    Ok(())
}

fn result(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Ok => "ok",
        CheckStatus::Warn => "open",
        CheckStatus::Fail => "fails",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::CheckResult;

    #[test]
    fn each_name_has_a_row() {
        let row = |name: &str, result| CheckResult {
            name: Some(name.to_owned()),
            ..result
        };
        let works = CheckResult::ok("order", "works: ca-staging has signed a certificate");
        let report = CheckReport {
            checks: vec![
                row("www.example.org", works),
                row("a.example", CheckResult::fail("order", "open port 80")),
            ],
        };
        let mut out = Vec::new();
        write_table(&report, &mut out).unwrap();
        let expected = "\
NAME             RESULT  REASON
www.example.org  ok      works: ca-staging has signed a certificate
a.example        fails   open port 80
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
