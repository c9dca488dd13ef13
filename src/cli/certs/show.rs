//! `proxy certs show NAME`: everything known about one name.

use std::io::{self, Write};

use super::error::Error;
use super::target::TargetFlags;
use crate::admin::{AttemptsFacts, CertificateFacts, RecordFacts};

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Name, such as `www.example.org` or `*.example.org`
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetFlags,
}

impl Show {
    pub(super) async fn execute(self, out: &mut dyn Write) -> Result<(), Error> {
        let target = self.target.open().await?;
        let report = target.report(&self.name).await?;
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
            return Ok(());
        }
        writeln!(out, "{}: {}", report.name, report.standing)?;
        if let Some(certificate) = &report.certificate {
            write_certificate(certificate, out)?;
        }
        if let Some(attempts) = &report.attempts {
            write_attempts(attempts, out)?;
        }
        for record in &report.records_to_set {
            write_record(record, out)?;
        }
        writeln!(out, "\n({})", target.source())?;
        Ok(())
    }
}

fn write_certificate(certificate: &CertificateFacts, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\ncertificate")?;
    let (names, chain) = (certificate.names.join(", "), certificate.chain.join(" <- "));
    for (fact, value) in [
        ("names", &names),
        ("issuer", &certificate.issuer),
        ("signed by", &certificate.signed_by),
        ("serial", &certificate.serial),
        ("not before", &certificate.not_before),
        ("not after", &certificate.not_after),
        ("renew at", &certificate.renew_at),
        ("key", &certificate.key_type),
        ("chain", &chain),
        ("SHA-256", &certificate.fingerprint),
        ("file", &certificate.location),
    ] {
        write_fact(fact, value, out)?;
    }
    Ok(())
}

fn write_attempts(attempts: &AttemptsFacts, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nfailed attempts since the last success")?;
    write_fact("failures", &attempts.failures.to_string(), out)?;
    if let Some(at) = &attempts.failed_at {
        write_fact("last failed", at, out)?;
    }
    write_fact("last error", &attempts.last_error, out)?;
    write_fact("next attempt", &attempts.next_try, out)
}

/// Writes the value in quotation marks, as in zone files, since it contains semicolons and spaces.
fn write_record(record: &RecordFacts, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nTXT record to set once")?;
    write_fact("issuer", &record.issuer, out)?;
    write_fact("name", &record.name, out)?;
    let value = match &record.value {
        Some(value) => format!("\"{value}\""),
        None => "not known until the first request to the CA".to_owned(),
    };
    write_fact("value", &value, out)
}

fn write_fact(fact: &str, value: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {fact:<12}  {value}")
}
