//! `proxy doctor`: has a running proxy check what must hold, or checks it without one.

use std::io::Write;

use super::report::{exit_code, write_report};
use crate::admin::{CheckReport, CheckResult, Client};
use crate::app;
use crate::cli::certs::{Error, wait_for};
use crate::cli::check::OWN_ISSUER;
use crate::cli::failure::Failure;
use crate::cli::source::{self, Loaded, Source};
use crate::config::Config;

/// Check what must hold, and say what to do where it does not.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Doctor {
    /// Names to check [default: all names of the configuration]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

impl Doctor {
    pub(in crate::cli) fn execute(self, out: &mut dyn Write) -> Result<(), Failure> {
        let mut checks = Vec::new();
        match self.source.load() {
            Err(nothing @ source::Error::Nothing) => return Err(nothing.into()),
            // One line for each thing that is wrong in the file.
            Err(source::Error::Config(error)) => {
                let reasons = error.to_string();
                checks.extend(
                    reasons
                        .lines()
                        .map(|it| CheckResult::fail("configuration", it)),
                );
            }
            Ok(loaded) => {
                checks.extend(configuration(&loaded));
                let examined = async {
                    checks.extend(examine(&loaded.config, self.names).await);
                    Ok(())
                };
                wait_for(examined)?;
            }
        }
        let report = CheckReport { checks };
        if self.json {
            let text = serde_json::to_string_pretty(&report).map_err(Error::Json)?;
            writeln!(out, "{text}")?;
        } else {
            write_report(&report, out)?;
        }
        exit_code(report.worst()).map_or(Ok(()), |code| Err(Failure::Told(code)))
    }
}

/// Says whether the configuration can take effect.
fn configuration(loaded: &Loaded) -> Vec<CheckResult> {
    let file = loaded.file.as_ref();
    let source = file.map_or_else(
        || "the command line".to_owned(),
        |file| file.path().display().to_string(),
    );
    if let Err(error) = app::check(&loaded.config) {
        let reasons = error.to_string();
        let reasons = reasons
            .lines()
            .map(|it| CheckResult::fail("configuration", it));
        return reasons.collect();
    }
    let mut checks = vec![CheckResult::ok(
        "configuration",
        format!("{source} is valid"),
    )];
    let unsignable = loaded.config.unsignable_names();
    checks.extend(
        unsignable
            .into_iter()
            .map(|reason| CheckResult::warn("configuration", format!("{reason}; {OWN_ISSUER}"))),
    );
    checks
}

/// Has the running proxy make the checks, or makes them here if none runs.
async fn examine(config: &Config, names: Vec<String>) -> Vec<CheckResult> {
    const CHECK: &str = "process";
    let socket = config.admin_path();
    let shown = socket.display();
    let (found, report) = match Client::find(&socket).await {
        Ok(Some(client)) => {
            let found = format!(
                "the proxy that answers on {shown} makes the checks, with the configuration that it runs"
            );
            let report = client.check(names).await;
            (found, report.map_err(|error| error.to_string()))
        }
        Ok(None) => {
            let found = format!(
                "no proxy answers on {shown}; this command listens in its place for the checks"
            );
            let report = Box::pin(app::check_standalone(config, &names)).await;
            (found, report.map_err(|error| error.to_string()))
        }
        Err(error) => return vec![CheckResult::fail(CHECK, error)],
    };
    let mut checks = vec![CheckResult::ok(CHECK, found)];
    match report {
        Ok(report) => checks.extend(report.checks),
        Err(reason) => checks.push(CheckResult::fail(CHECK, reason)),
    }
    checks
}
