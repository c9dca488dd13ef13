//! `proxy status`: the state of the running proxy.

use std::io::{self, Write};
use std::time::Duration;

use super::certs::{Error, TargetFlags, wait_for};
use crate::admin;
use crate::listener_names::DEFAULT_LISTENER;

/// Show the state of the running proxy.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetFlags,
}

pub(super) fn execute(status: Status, out: &mut dyn Write) -> Result<(), Error> {
    wait_for(async {
        let answer = status.target.running().await?.status().await?;
        if status.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&answer)?)?;
        } else {
            write_status(&answer, out)?;
        }
        Ok(())
    })
}

fn write_status(status: &admin::Status, out: &mut dyn Write) -> io::Result<()> {
    let uptime = Duration::from_secs(status.uptime_seconds);
    let certificates = &status.certificates;
    writeln!(out, "up            {}", humantime::format_duration(uptime))?;
    write_listeners(&status.listeners, out)?;
    writeln!(out, "sites         {}", status.sites)?;
    writeln!(out, "connections   {}", status.connections)?;
    writeln!(out, "certificates  {} in memory", certificates.in_memory)?;
    if certificates.names_without > 0 {
        writeln!(
            out,
            "              none for {} of {} names; `proxy certs list` says why",
            certificates.names_without, certificates.names
        )?;
    }
    if certificates.expired > 0 {
        writeln!(
            out,
            "              {} of them expired; `proxy certs list` says why there are no newer ones",
            certificates.expired
        )?;
    }
    if status.refusals.is_empty() {
        return writeln!(out, "\nnothing refused since the start");
    }
    writeln!(out, "\nrefused since the start")?;
    let reasons = || status.refusals.iter().map(|refusal| refusal.reason.len());
    let width = reasons().max().unwrap_or_default();
    for refusal in &status.refusals {
        let admin::RefusalCount { reason, count } = refusal;
        writeln!(out, "  {reason:<width$}  {count}")?;
    }
    Ok(())
}

/// Writes one line for each listener, with its name if that is not the default one.
fn write_listeners(listeners: &[admin::ListenerStatus], out: &mut dyn Write) -> io::Result<()> {
    for (index, listener) in listeners.iter().enumerate() {
        let label = if index == 0 { "listening" } else { "" };
        let admin::ListenerStatus {
            protocol,
            name,
            address,
        } = listener;
        write!(out, "{label:<13} {protocol} {address}")?;
        match name.as_str() {
            DEFAULT_LISTENER => writeln!(out)?,
            name => writeln!(out, " ({name})")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{CertificateCounts, ListenerStatus, RefusalCount};

    fn written([names_without, expired]: [usize; 2], refusals: &[(&str, u64)]) -> String {
        let refusals = refusals.iter().map(|(reason, count)| RefusalCount {
            reason: (*reason).to_owned(),
            count: *count,
        });
        let status = admin::Status {
            uptime_seconds: 93_784,
            listeners: [
                ("http", "default", "[::]:80"),
                ("https", "default", "[::]:443"),
                ("https", "lan", "192.168.1.10:8443"),
            ]
            .map(|row| {
                let (protocol, name, address) = row;
                ListenerStatus {
                    protocol: protocol.to_owned(),
                    name: name.to_owned(),
                    address: address.to_owned(),
                }
            })
            .to_vec(),
            sites: 3,
            connections: 12,
            certificates: CertificateCounts {
                in_memory: 3,
                names: 4,
                names_without,
                expired,
            },
            refusals: refusals.collect(),
        };
        let mut out = Vec::new();
        write_status(&status, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_output_is_short_and_aligned() {
        let refusals = [("unknown-host", 120), ("no-certificate", 3)];
        let expected = "\
up            1day 2h 3m 4s
listening     http [::]:80
              https [::]:443
              https 192.168.1.10:8443 (lan)
sites         3
connections   12
certificates  3 in memory
              none for 1 of 4 names; `proxy certs list` says why
              2 of them expired; `proxy certs list` says why there are no newer ones

refused since the start
  unknown-host    120
  no-certificate  3
";
        assert_eq!(written([1, 2], &refusals), expected);
    }

    #[test]
    fn there_are_no_lines_about_what_is_well() {
        let expected = "\
up            1day 2h 3m 4s
listening     http [::]:80
              https [::]:443
              https 192.168.1.10:8443 (lan)
sites         3
connections   12
certificates  3 in memory

nothing refused since the start
";
        assert_eq!(written([0, 0], &[]), expected);
    }
}
